"""Open what a collector's spec and the settings name: sources, destinations, the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from reconciler.app.login_secrets import LoginSecrets
from reconciler.destinations.maildir import Maildir
from reconciler.ledger import LedgerAbsent, SqlLedger, open_ledger
from reconciler.model.errors import SourceError
from reconciler.model.interfaces import MailDestination, Push, Source
from reconciler.model.manifest_policy import allowed
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.model.secret import Secret
from reconciler.model.settings import Settings
from reconciler.model.spec import (
    SourceSpec,
)
from reconciler.planning.desired_state import DesiredCollector
from reconciler.secrets import read_secret
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.confined_files import require_within
from reconciler.wire.connection_limits import Limits
from reconciler.wire.push_transcripts import PushTranscript
from reconciler.wire.transcript import Transcript

_ACCOUNTS = AccountMemories()
"""Facts that this process has learnt about logging in to each account."""


def open_source(
    spec: SourceSpec,
    secret: Secret,
    settings: Settings,
    entered: Callable[[], None] = lambda: None,
    login: Callable[[], None] = lambda: None,
    transcript: Transcript | None = None,
) -> Source:
    """Open the source of mail. `entered` is called when the server has accepted the login, `login`
    before the source logs in once more by itself. `transcript` keeps what is said."""
    if spec.protocol == "imap":
        # IMAPClient is slow to import
        from reconciler.sources.imap import open_imap  # noqa: PLC0415
        from reconciler.sources.imap.client_identification import ClientIdentity  # noqa: PLC0415

        imap = open_imap(
            spec,
            secret,
            limits_for(spec),
            _ACCOUNTS,
            ClientIdentity(settings.support_address),
            transcript,
        )
        imap.entered, imap.another_login = entered, login
        return imap
    from reconciler.sources.pop3 import open_pop3  # noqa: PLC0415  # many have IMAP only

    pop3 = open_pop3(spec, secret, limits_for(spec), _ACCOUNTS, transcript)
    pop3.entered, pop3.another_login = entered, login
    return pop3


def limits_for(spec: SourceSpec) -> Limits:
    return Limits.with_silence(seconds(spec.timeout))


def open_push(
    collector: DesiredCollector,
    tokens: LoginSecrets,
    settings: Settings,
    transcript: PushTranscript | None = None,
    closed: Callable[[], None] = lambda: None,
    lost: Callable[[SourceError], None] = lambda _: None,
) -> Push:
    """Open a push connection, not yet begun. `transcript` keeps what is said; `closed` is called
    when the connection is closed, and before that `lost`, with the reason, where it has become
    unusable."""
    from reconciler.sources.imap import idle  # noqa: PLC0415  # IMAPClient is slow to import
    from reconciler.sources.imap.client_identification import ClientIdentity  # noqa: PLC0415

    spec = collector.effective.source
    secret = tokens.secret_of(spec, collector=collector.name)
    push = idle.open_push(
        spec,
        secret,
        limits_for(spec),
        _ACCOUNTS,
        ClientIdentity(settings.support_address),
        transcript,
    )
    push.closed, push.lost = closed, lost
    return push


class CollectorMounts:
    """What the ledger knows of the file systems that one collector's Maildirs are on."""

    def __init__(self, ledger: SqlLedger, collector: str) -> None:
        self._ledger = ledger
        self._collector = collector
        self.mounts = ledger.mounts
        self.remember_mount = ledger.remember_mount

    def accepted(self) -> bool:
        return self._ledger.maildirs_accepted(self._collector, utc_now())

    def delivered_last(self, limit: int) -> Sequence[tuple[str, str]]:
        return self._ledger.delivered_last(self._collector, limit)


def open_destination(
    collector: DesiredCollector,
    settings: Settings,
    ledger: SqlLedger | None,
    transcript: Transcript | None = None,
) -> MailDestination[Any]:
    """Open the destination of a collector's mail, for one session. `transcript` keeps what is
    said."""
    path = maildir_path(collector, settings)
    if path is not None:
        if collector.destination is not None:
            require_within(path.partition("{")[0], allowed().maildirs, "Maildir")
        return Maildir(
            path,
            create=True,
            shared=collector.effective.recipient.detect is not None,
            own_root=collector.destination is None,
            memory=CollectorMounts(ledger, collector.name) if ledger else None,
        )
    spec = collector.destination
    assert spec is not None  # noqa: S101  # without one it is a Maildir
    if spec.lmtp:
        # most have Maildirs
        from reconciler.destinations.lmtp import lmtp_destination, lmtp_endpoint  # noqa: PLC0415

        return lmtp_destination(lmtp_endpoint(spec.lmtp), transcript=transcript)
    # the same
    from reconciler.destinations.smtp import SmtpLogin, smtp_destination, smtp_endpoint  # noqa: PLC0415

    assert spec.smtp is not None  # noqa: S101  # the schema: exactly one of the three
    smtp, password = spec.smtp, spec.smtp.password
    login = (
        SmtpLogin(smtp.username, lambda: read_secret(password))
        if smtp.username and password
        else None
    )
    return smtp_destination(smtp_endpoint(smtp), login, transcript=transcript)


def maildir_path(collector: DesiredCollector, settings: Settings) -> str | None:
    """Return the path template of a collector's Maildirs, None if its mail goes elsewhere."""
    spec = collector.destination
    if spec is None:
        return str(settings.state_dir.absolute() / "mail" / "{local}@{domain}")
    return spec.maildir.path if spec.maildir else None


@contextmanager
def own_ledger(settings: Settings) -> Iterator[SqlLedger]:
    """Open the ledger and take its lease, for the process that owns the state directory."""
    ledger = open_ledger(settings.state_url)
    try:
        ledger.take()
        yield ledger
    finally:
        ledger.close()


@contextmanager
def ledger_if_any(settings: Settings) -> Iterator[SqlLedger | None]:
    """Open the ledger for reading; None if nothing has run yet."""
    try:
        ledger = open_ledger(settings.state_url, create=False)
    except LedgerAbsent:
        yield None
        return
    try:
        yield ledger
    finally:
        ledger.close()


def utc_now() -> datetime:
    return datetime.now(UTC)
