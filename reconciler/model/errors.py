"""Failures as types. Adapters map what their libraries raise to these at their edge;
`collect.backoff` decides.

Every text here may be shown to anybody: adapters redact secrets before they raise
(`model.secret.redact`).
"""

from __future__ import annotations


class CollectorError(Exception):
    """Anything that ends a session or keeps a collector from running. `reason` is the condition's
    reason."""

    reason = "Failed"


class NotSupported(CollectorError):
    """The manifest asks for something that this version cannot do safely."""

    reason = "NotSupported"


class ManifestInvalid(CollectorError):
    """There is no spec to act on: the manifest was never valid."""

    reason = "InvalidManifest"


class ManifestsMissing(CollectorError):
    """The directory of manifests is not there, or cannot be listed."""

    reason = "DirectoryVanished"


class SecretUnavailable(CollectorError):
    """A password or token could not be read from where the manifest says it lives."""

    reason = "SecretUnavailable"


class PolicyRefused(CollectorError):
    """The administrator's policy does not allow what the manifest names, or is itself not to be
    used."""

    reason = "PolicyRefused"


class SourceError(CollectorError):
    """The remote server, or the way to it, failed.

    `retry_after`: seconds that the server asked us to wait. `advice`: what a person can do about
    it, in one or two sentences, where that is known (`replies.refusals`); the message contains
    it. `of_address`: it is about the host, or the address that asks, not about an account: said
    before the server could know whose is asked for, or in such words.
    """

    reason = "SourceFailed"
    of_address = False

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.advice = advice


class ConnectionFailed(SourceError):
    """No connection, or it broke: name lookup, refusal, time-out, reset, end of stream inside a
    message. `abrupt`: it was reset, so that what the server had sent before may not have come (RFC
    9293, 3.10.7.4)."""

    reason = "ConnectionFailed"
    abrupt = False


class NoGreeting(ConnectionFailed):
    """The server took the connection and closed it without a word. One that is down does that, and
    one that has too many connections from one address (hazard P16): the difference is whether it
    greets others meanwhile."""

    of_address = True


class SourceUnavailable(ConnectionFailed):
    """The server answers, and says that it is out of order: UNAVAILABLE, SERVERBUG, SYS/TEMP. As
    passing as a broken connection, so whoever handles that handles this."""

    reason = "SourceUnavailable"


class TlsRefused(SourceError):
    """The server's TLS is not what the manifest asks for. Credentials were not sent."""

    reason = "TlsRefused"


class AuthenticationFailed(SourceError):
    """The server refused the user name or the password.

    Where the protocol leaves open why it was refused (POP3 -ERR without [AUTH], RFC 3206), it is
    not `certain`, and the reason is LoginRefused until it has happened three times in a row.
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
    """The account lets no program in until somebody does something there: IMAP or POP3 is switched
    off, it is locked, terms wait to be accepted, it has to be opened with a browser once. Not a
    refused password."""

    reason = "AccountNotReady"


class Throttled(SourceError):
    """The server asks for less: LIMIT, INUSE, LOGIN-DELAY, too many connections, a used up
    allowance."""

    reason = "Throttled"


class ProtocolViolation(SourceError):
    """The server broke its protocol: what it says can no longer be trusted, so the session ends."""

    reason = "ProtocolViolation"


class Flooded(ProtocolViolation):
    """The server sent more than any honest answer has: to ask in another way would bring more of
    it."""


class FolderFailed(ProtocolViolation):
    """A folder cannot be used, or not be believed, in this session; the others of its account can.
    `alone`: what it means where there are no others."""

    def __init__(self, message: str, alone: SourceError | None = None) -> None:
        super().__init__(message)
        self.alone = alone


class SourceUnsuitable(SourceError):
    """The server lacks what the manifest needs (no UIDL for new-keep, a folder that does not
    exist)."""

    reason = "SourceUnsuitable"


class Crowded(SourceError):
    """Other mailboxes with very many messages are being listed; not the server's fault."""

    reason = "Crowded"


class DestinationUnavailable(CollectorError):
    """Nothing can be delivered now: disk full, read-only, no permission, the mail system is not
    there.

    `retry_after`: seconds that a mail system asked us to wait. `advice`: as of a `SourceError`.
    `at_message`: a mail system let us in, and said so when a message was to be handed over.
    """

    reason = "DestinationUnavailable"
    at_message = False
    of_one = False
    """It may be about one mailbox, for nobody else's mail was tried."""

    def __init__(self, message: str, *, retry_after: float | None = None, advice: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.advice = advice


class LedgerUnavailable(CollectorError):
    """The ledger cannot be read or written: collecting stops, for it never runs without one."""

    reason = "LedgerUnavailable"


class LeaseLost(LedgerUnavailable):
    """Another process owns the ledger now."""

    reason = "LeaseLost"


class NoThread(CollectorError):
    """The system lets this process start no more threads (a limit of processes, of memory)."""

    reason = "NoThread"


class Stopped(CollectorError):
    """The session was told to stop."""

    reason = "Stopped"
