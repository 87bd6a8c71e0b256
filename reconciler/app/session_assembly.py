"""One session, composed of the adapters that its collector asks for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from reconciler.collect import backoff
from reconciler.collect.routing import own_address, route
from reconciler.collect.session import Session as CollectSession
from reconciler.collect.session_context import Task
from reconciler.control.admission import Admission
from reconciler.control.host_limits import LimitsOf, limits
from reconciler.control.one_session_each import OneSessionEach
from reconciler.control.session_pool import SessionControl, SessionPool
from reconciler.destinations.maildir import Maildir
from reconciler.ledger import SqlLedger
from reconciler.model.errors import AuthenticationFailed, CollectorError
from reconciler.model.interfaces import MailDestination, Push, Source
from reconciler.model.manifest_policy import allowed
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.routing_answer import Routing
from reconciler.model.secret import Secret, redact
from reconciler.model.settings import Settings
from reconciler.model.spec import SourceSpec, octets, seconds
from reconciler.planning.desired_state import DesiredCollector
from reconciler.secrets import read_secret, stamp
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.confined_files import require_beneath
from reconciler.wire.connection_limits import Limits

if TYPE_CHECKING:
    from reconciler.secrets.oauth2 import AccessTokens

_ACCOUNTS = AccountMemories()
"""What this process has learnt of how accounts are logged in to."""
_REFUSED = {AuthenticationFailed.reason, backoff.LOGIN_REFUSED}


class Tokens:
    """The access tokens of this process: one store, which the composition root makes. Leaving the
    context, as SIGTERM, waits until no refresh token is in use: it would be lost with the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store: AccessTokens | None = None

    def __enter__(self) -> Self:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(
                signal.SIGTERM, self._terminate
            )  # the daemon's loop has a handler of its own
        return self

    def __exit__(self, *_: object) -> None:
        if signal.getsignal(signal.SIGTERM) == self._terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._close()

    def _terminate(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one does not wait
        self._close()
        os.kill(os.getpid(), number)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> AccessTokens:
        """Made when the first one is needed: most collectors have passwords, and need no HTTP
        client."""
        with self._lock:
            if self._store is None:
                from reconciler.secrets.oauth2 import AccessTokens  # noqa: PLC0415  # see above

                self._store = AccessTokens()
            return self._store

    def secret_of(
        self, spec: SourceSpec, cancelled: Future[None] | None = None, collector: str = "NAME"
    ) -> Secret:
        """What to log in with: the password, or an access token. Raises CollectorError."""
        if spec.oauth2 is not None:
            return self.store.get(spec, cancelled, collector).secret
        assert spec.password is not None  # noqa: S101  # the schema: exactly one of the two
        return read_secret(spec.password, cancelled)

    def may_be_old(self, spec: SourceSpec, secret: Secret, reason: str) -> bool:
        """Whether a login that failed for this `reason` may succeed with a new access token: it had
        been accepted."""
        return spec.oauth2 is not None and reason in _REFUSED and self.store.refused(spec, secret)


class SessionRunner:
    """Runs sessions of any collector, from any thread."""

    def __init__(self, settings: Settings, ledger: SqlLedger, tokens: Tokens) -> None:
        self._settings = settings
        self._ledger = ledger
        self._tokens = tokens

    def run(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """One session, recorded in the ledger. Raises only LedgerUnavailable, and defects."""
        report = self._session(collector, control)
        self._ledger.record_session(collector.name, report)
        return report

    def _session(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """A second one where an access token was refused that had been accepted before."""
        source = collector.effective.source
        secrets: list[Secret] = []
        report = self._attempt(collector, control, secrets)
        if source.oauth2 is None:
            return report
        if (
            secrets
            and report.error
            and self._tokens.may_be_old(source, secrets[0], report.error.reason)
        ):
            report = self._attempt(collector, control, [])
        expiry = self._tokens.store.expiry(source)
        return replace(
            report, token_expires_at=datetime.fromtimestamp(expiry, UTC) if expiry else None
        )

    def _attempt(
        self, collector: DesiredCollector, control: SessionControl, secrets: list[Secret]
    ) -> SessionReport:
        """`secrets` gets what was logged in with."""
        started = utc_now()
        try:
            with control.elsewhere():
                secrets.append(self._secret(collector, control))
            source = open_source(
                collector.effective.source,
                secrets[0],
                self._settings,
                control.entered,
                control.another_login,
            )
            destination = open_destination(collector, self._settings, self._ledger)

            def break_off() -> None:
                source.abort()
                destination.abort()

            control.on_give_up(break_off)
            try:
                session = CollectSession(
                    task(collector, destination),
                    source,
                    destination,
                    self._ledger,
                    control,
                    utc_now,
                )
                return _redacted(session.run(), secrets)
            finally:
                source.abort()
                destination.finish()
        except CollectorError as error:
            return _redacted(
                SessionReport(started, utc_now(), Outcome.FAILED, error=Failure.of(error)), secrets
            )

    def _secret(self, collector: DesiredCollector, control: SessionControl) -> Secret:
        """Whoever gives the session up is not kept waiting by a token endpoint."""
        given_up: Future[None] = Future()
        control.on_give_up(lambda: None if given_up.done() else given_up.set_result(None))
        return self._tokens.secret_of(collector.effective.source, given_up, collector.name)


def task(collector: DesiredCollector, destination: MailDestination[Any]) -> Task:
    spec = collector.effective
    account = own_address(spec.source)

    def routed(head: bytes) -> Routing:
        return route(head, spec.recipient, account, destination.exists, destination.deliverable)

    return Task(
        collector.name,
        spec.collect.mode,
        spec.collect.limit,
        octets(spec.collect.max_message_size),
        routed,
        single=spec.recipient.detect is None,
        digest=collector.effective_digest,
    )


def secret_stamp(collector: DesiredCollector) -> str:
    """Changes when somebody writes a file that one of the source's secrets lives in; our own
    replacing of a refresh token, which others may share, does not count."""
    source = collector.effective.source
    if source.oauth2 is None:
        stamps = [stamp(source.password)] if source.password else []
    else:
        refresh, client = source.oauth2.refresh_token, source.oauth2.client_secret
        stamps = [
            *([stamp(refresh, replaced_by_us=True)] if refresh else []),
            *([stamp(client)] if client else []),
        ]
    return " ".join(each or "-" for each in stamps)


def open_source(
    spec: SourceSpec,
    secret: Secret,
    settings: Settings,
    entered: Callable[[], None] = lambda: None,
    login: Callable[[], None] = lambda: None,
) -> Source:
    """`entered` is called when the server has let us in, `login` before the source logs in once
    more by itself."""
    if spec.protocol == "imap":
        # IMAPClient is slow to import
        from reconciler.sources.imap import open_imap  # noqa: PLC0415
        from reconciler.sources.imap.client_identification import ClientIdentity  # noqa: PLC0415

        imap = open_imap(
            spec, secret, limits_for(spec), _ACCOUNTS, ClientIdentity(settings.support_address)
        )
        imap.entered, imap.another_login = entered, login
        return imap
    from reconciler.sources.pop3 import open_pop3  # noqa: PLC0415  # many have IMAP only

    pop3 = open_pop3(spec, secret, limits_for(spec), _ACCOUNTS)
    pop3.entered, pop3.another_login = entered, login
    return pop3


def limits_for(spec: SourceSpec) -> Limits:
    return Limits.patient(seconds(spec.timeout))


def open_push(collector: DesiredCollector, tokens: Tokens, settings: Settings) -> Push:
    from reconciler.sources.imap import idle  # noqa: PLC0415  # IMAPClient is slow to import
    from reconciler.sources.imap.client_identification import ClientIdentity  # noqa: PLC0415

    spec = collector.effective.source
    secret = tokens.secret_of(spec, collector=collector.name)
    return idle.open_push(
        spec, secret, limits_for(spec), _ACCOUNTS, ClientIdentity(settings.support_address)
    )


class CollectorMounts:
    """What the ledger knows of the file systems that Maildirs are on, for the sessions of one
    collector."""

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
    collector: DesiredCollector, settings: Settings, ledger: SqlLedger | None
) -> MailDestination[Any]:
    """Where this collector's mail goes, for one session."""
    path = maildir_path(collector, settings)
    if path is not None:
        if collector.destination is not None:
            require_beneath(path.partition("{")[0], allowed().maildirs, "Maildir")
        return Maildir(
            path,
            create=True,
            shared=collector.effective.recipient.detect is not None,
            memory=CollectorMounts(ledger, collector.name) if ledger else None,
        )
    spec = collector.destination
    assert spec is not None  # noqa: S101  # without one it is a Maildir
    if spec.lmtp:
        # most have Maildirs
        from reconciler.destinations.lmtp import lmtp_destination, lmtp_endpoint  # noqa: PLC0415

        return lmtp_destination(lmtp_endpoint(spec.lmtp))
    # the same
    from reconciler.destinations.smtp import SmtpLogin, smtp_destination, smtp_endpoint  # noqa: PLC0415

    assert spec.smtp is not None  # noqa: S101  # the schema: exactly one of the three
    smtp, password = spec.smtp, spec.smtp.password
    login = (
        SmtpLogin(smtp.username, lambda: read_secret(password))
        if smtp.username and password
        else None
    )
    return smtp_destination(smtp_endpoint(smtp), login)


def maildir_path(collector: DesiredCollector, settings: Settings) -> str | None:
    """The template of the Maildirs that its mail goes to, where it goes to any."""
    spec = collector.destination
    if spec is None:
        return str(settings.state_dir.absolute() / "mail" / "{local}@{domain}")
    return spec.maildir.path if spec.maildir else None


def _redacted(report: SessionReport, secrets: Sequence[Secret]) -> SessionReport:
    """Whatever an adapter let slip (hazard S1)."""
    notes = tuple(redact(note, secrets) for note in report.notes)
    error = report.error and replace(report.error, message=redact(report.error.message, secrets))
    return replace(report, notes=notes, error=error)


@contextmanager
def one_each(settings: Settings, ledger: SqlLedger, *, asked: bool) -> Iterator[OneSessionEach]:
    """Sessions of a process that owns the state and then ends; `asked`: somebody named the
    collectors."""
    with Tokens() as tokens:
        pool = SessionPool(
            SessionRunner(settings, ledger, tokens).run,
            backoff.decide,
            ledger,
            settings.max_sessions,
            utc_now,
            secret_stamp,
        )
        yield OneSessionEach(
            pool, lambda: Admission(settings.max_sessions, limits_of(settings)), utc_now, asked
        )


def limits_of(settings: Settings) -> LimitsOf:
    return limits(settings.host_connections, settings.host_logins_per_minute)


def utc_now() -> datetime:
    return datetime.now(UTC)
