"""Error types. Adapters convert their libraries' exceptions to these.

`collect.backoff` decides what follows from each.

Messages contain no secrets and may be shown to anybody: adapters redact them before they raise
(`model.secret.redact`).
"""

from __future__ import annotations


class CollectorError(Exception):
    """The base of errors that end a session or prevent a collector from running. `reason` is the
    reason of the condition."""

    reason = "Failed"


class NotSupported(CollectorError):
    """The manifest uses a feature that this version does not support."""

    reason = "NotSupported"


class ManifestInvalid(CollectorError):
    """The manifest was never valid, so that there is no spec to run."""

    reason = "InvalidManifest"


class ManifestsMissing(CollectorError):
    """The directory of manifests is missing or cannot be listed."""

    reason = "DirectoryVanished"


class SecretUnavailable(CollectorError):
    """A password or token could not be read from its place in the manifest."""

    reason = "SecretUnavailable"


class PolicyRefused(CollectorError):
    """The policy does not allow something that the manifest names, or the policy is unusable."""

    reason = "PolicyRefused"


class SourceError(CollectorError):
    """The remote server or the connection to it failed.

    - `retry_after`: the seconds that the server asked us to wait.
    - `advice`: one or two sentences about what a person can do, if known (`replies.refusals`). The
      message contains them.
    - `of_address`: the failure concerns the host or our address and not the account. Either the
      server's words say so, or it did not know the account yet.
    """

    reason = "SourceFailed"
    of_address = False

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.advice = advice


class ConnectionFailed(SourceError):
    """There is no connection, or it was lost: name lookup, refusal, time-out, reset, early end.

    `abrupt` means a reset, which may have discarded data that the server sent before (RFC 9293,
    section 3.10.7.4).
    """

    reason = "ConnectionFailed"
    abrupt = False


class NoGreeting(ConnectionFailed):
    """The server accepted the connection and closed it without a greeting.

    The server may be down, or it may have too many connections from our address (hazard P16). In
    the second case it greets other clients.
    """

    of_address = True


class SourceUnavailable(ConnectionFailed):
    """The server reports an internal problem: UNAVAILABLE, SERVERBUG, SYS/TEMP. It is as temporary
    as a lost connection and is handled in the same way."""

    reason = "SourceUnavailable"


class TlsRefused(SourceError):
    """The server's TLS does not satisfy the manifest. Credentials were not sent."""

    reason = "TlsRefused"


class AuthenticationFailed(SourceError):
    """The server refused the user name or the password.

    It is not `certain` if the protocol does not tell the cause (POP3 -ERR without [AUTH], RFC
    3206). The reason is then LoginRefused until it happened three times in a row.
    """

    reason = "AuthenticationFailed"

    def __init__(
        self,
        message: str,
        *,
        certain: bool = True,
        retry_after: float | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message, retry_after=retry_after, advice=advice)
        self.certain = certain
        if not certain:
            self.reason = "LoginRefused"


class AccountNotReady(SourceError):
    """The account accepts no login by programs until a person changes something there.

    IMAP or POP3 is disabled, the account is locked, terms must be accepted, or a login with a
    browser is needed. The password is not the cause.
    """

    reason = "AccountNotReady"


class Throttled(SourceError):
    """The server limits its use: LIMIT, INUSE, LOGIN-DELAY, too many connections, a quota of
    traffic."""

    reason = "Throttled"


class ProtocolViolation(SourceError):
    """The server violated its protocol. Its answers can no longer be trusted, so the session
    ends."""

    reason = "ProtocolViolation"


class Flooded(ProtocolViolation):
    """The server sent more than any valid answer contains. The session does not try other
    commands."""


class FolderFailed(ProtocolViolation):
    """A folder is unusable or untrustworthy in this session; the account's other folders are not.

    `alone` is the error to raise if the account has no other folder.
    """

    def __init__(self, message: str, alone: SourceError | None = None) -> None:
        super().__init__(message)
        self.alone = alone


class SourceUnsuitable(SourceError):
    """The server lacks something that the manifest needs, such as UIDL for new-keep or a folder."""

    reason = "SourceUnsuitable"


class Crowded(SourceError):
    """Too many other mailboxes with very many messages are being listed at the same time."""

    reason = "Crowded"


class DestinationUnavailable(CollectorError):
    """Nothing can be delivered now: a full or read-only disk, no permission, no mail system.

    - `retry_after`: the seconds that a mail system asked us to wait.
    - `advice`: as in `SourceError`.
    - `at_message`: a mail system accepted the connection and failed when a message was sent.
    """

    reason = "DestinationUnavailable"
    at_message = False
    of_one = False
    """It may concern one mailbox only, because no other mailbox was tried."""

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.advice = advice


class LedgerUnavailable(CollectorError):
    """The ledger cannot be read or written. Nothing is collected without a ledger."""

    reason = "LedgerUnavailable"


class LeaseLost(LedgerUnavailable):
    """Another process owns the ledger now."""

    reason = "LeaseLost"


class NoThread(CollectorError):
    """The system does not allow more threads because of a limit of processes or memory."""

    reason = "NoThread"


class Stopped(CollectorError):
    """The session was told to stop."""

    reason = "Stopped"
