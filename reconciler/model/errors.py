"""Failures as types. Adapters map what their libraries raise to these at their edge; `collect.backoff` decides.

Every text here may be shown to anybody: adapters redact secrets before they raise (`model.secret.redact`).
"""

from __future__ import annotations


class CollectorError(Exception):
    """Anything that ends a session or keeps a collector from running. `reason` is the condition's reason."""

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


class SourceError(CollectorError):
    """The remote server, or the way to it, failed."""

    reason = "SourceFailed"


class ConnectionFailed(SourceError):
    """No connection, or it broke: name lookup, refusal, time-out, reset, end of stream inside a message."""

    reason = "ConnectionFailed"


class TlsRefused(SourceError):
    """The server's TLS is not what the manifest asks for. Credentials were not sent."""

    reason = "TlsRefused"


class AuthenticationFailed(SourceError):
    """The server refused the user name or the password.

    Where the protocol leaves open why it was refused (POP3 -ERR without [AUTH], RFC 3206), it is not `certain`, and the
    reason is LoginRefused until it has happened three times in a row.
    """

    reason = "AuthenticationFailed"

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain
        if not certain:
            self.reason = "LoginRefused"


class Throttled(SourceError):
    """The server asks for less: IN-USE, LOGIN-DELAY, SYS/TEMP, UNAVAILABLE, LIMIT… `retry_after` in seconds."""

    reason = "Throttled"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProtocolViolation(SourceError):
    """The server broke its protocol: what it says can no longer be trusted, so the session ends."""

    reason = "ProtocolViolation"


class SourceUnsuitable(SourceError):
    """The server lacks what the manifest needs (no UIDL for new-keep, a folder that does not exist)."""

    reason = "SourceUnsuitable"


class DestinationUnavailable(CollectorError):
    """Nothing can be delivered now: disk full, read-only, no permission, the mail system is not there."""

    reason = "DestinationUnavailable"


class LedgerUnavailable(CollectorError):
    """The ledger cannot be read or written: collecting stops, for it never runs without one."""

    reason = "LedgerUnavailable"


class LeaseLost(LedgerUnavailable):
    """Another process owns the ledger now."""

    reason = "LeaseLost"


class Stopped(CollectorError):
    """The session was told to stop."""

    reason = "Stopped"
