"""The composition root: the only room that knows every adapter. What the command line calls."""

from __future__ import annotations

import asyncio
import functools
import resource
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from reconciler.collect import backoff
from reconciler.collect.check import Check
from reconciler.collect.routing import own_address, route
from reconciler.collect.session import Session as CollectSession
from reconciler.collect.session import Task
from reconciler.control import once
from reconciler.control.admission import Admission
from reconciler.control.limits import LimitsOf, limits
from reconciler.control.observe import Directory
from reconciler.control.ownership import owned
from reconciler.control.proposal import Proposal, last_in_force, propose
from reconciler.control.service import Control
from reconciler.control.sessions import SessionControl, SessionPool
from reconciler.destinations.maildir import Maildir
from reconciler.ledger import LedgerAbsent, SqlLedger, open_ledger
from reconciler.manifests.files import DirectoryVanished, list_files
from reconciler.manifests.spec import SourceSpec, octets
from reconciler.model.consent import Prompt, Way
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ManifestInvalid,
    ManifestsMissing,
    NotSupported,
)
from reconciler.model.findings import Finding
from reconciler.model.history import ParkedMessage
from reconciler.model.inforce import NOTHING_IN_FORCE, InForce
from reconciler.model.interfaces import Destination, Push, Source
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.routing import Routing
from reconciler.model.secret import Secret, redact
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport, Description, Parked, Session, ShownCollector
from reconciler.planning.desired import DesiredCollector
from reconciler.secrets import read_secret, stamp
from reconciler.wire.limits import Limits

if TYPE_CHECKING:
    from reconciler.control.daemon import Parts
    from reconciler.secrets.oauth2 import AccessTokens

_REFUSED = {AuthenticationFailed.reason, backoff.LOGIN_REFUSED}

OnProgress = Callable[[str, Session], None]

log = structlog.get_logger()


def run(settings: Settings, directory: Path, once: bool, allow_empty: bool = False) -> int:
    """The daemon, or with `once` one session of every enabled collector; the exit code. `allow_empty`: where no
    collector at all is found at first, that is meant. Raises CollectorError when it
    cannot start: the state is another process's, the ledger cannot be opened, or there is no such directory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold passwords (hazard S3)
    try:
        list_files(directory)
    except DirectoryVanished as error:
        raise ManifestsMissing(str(error)) from error
    with owned(settings.state_dir), _ledger(settings) as ledger:
        if once:
            return _run_once(settings, directory, ledger, allow_empty)
        from reconciler.control.daemon import run_daemon  # noqa: PLC0415  # with --once nothing is watched

        _raise_file_limit()
        return asyncio.run(run_daemon(directory, _parts(settings, directory, ledger, allow_empty)))


def _raise_file_limit() -> None:
    """Each connection that waits for mail is an open file; the limit for most programs is 1024 (hazard R1)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _parts(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> Parts:
    from reconciler.control.daemon import Parts  # noqa: PLC0415  # as above

    @asynccontextmanager
    async def serve(control: Control) -> AsyncIterator[None]:
        from reconciler.web.server import served  # noqa: PLC0415  # only the daemon pays for a web server

        async with served(control, settings, directory):
            yield

    return Parts(ledger, Sessions(settings, ledger).run, backoff.decide, Checks(settings, ledger).run, serve,
                 settings.max_sessions, _limits(settings), _open_push, settings.allow_inline_secrets, allow_empty,
                 _stamp)


def _run_once(settings: Settings, directory: Path, ledger: SqlLedger, allow_empty: bool) -> int:
    work = _once(settings, ledger)
    decision, histories = work.decide(_directory(settings, directory, allow_empty=allow_empty))
    for diagnostic in decision.look.diagnostics:
        log.log(_LEVELS[diagnostic.severity], diagnostic.message, file=diagnostic.file, line=diagnostic.line,
                column=diagnostic.column, path=diagnostic.path, rule=diagnostic.rule)
    enabled = [name for name, found in decision.desired.collectors.items() if found.effective.enabled]
    sessions = work.run(decision, histories, enabled, force=False, on_progress=lambda *_: None)
    failed = [name for name, session in sessions.items()
              if session.outcome != Outcome.SUCCEEDED.value or session.failed]
    for name in failed:
        error = sessions[name].error
        log.error("collector failed", collector=name, reason=error.reason if error else "MessagesFailed",
                  error=error.message if error else f"{sessions[name].failed} messages failed")
    invalid = any(diagnostic.severity == "error" for diagnostic in decision.look.diagnostics)
    return 1 if failed or invalid else 0


_LEVELS = {"error": 40, "warning": 30, "info": 20}


# -- what the other verbs do without a daemon


def offline_collectors(settings: Settings, directory: Path) -> list[ShownCollector]:
    """From the manifests and, where there is one, the ledger; nothing is changed."""
    with _ledger_if_any(settings) as ledger:
        found = once.find(_directory(settings, directory), ledger.last_good() if ledger else ())
        return once.listed(found, ledger.histories() if ledger else {})


def offline_description(settings: Settings, directory: Path, name: str) -> Description:
    """Raises KeyError where no such collector is declared."""
    shown = {found.metadata.name: found for found in offline_collectors(settings, directory)}[name]
    with _ledger_if_any(settings) as ledger:
        found = once.find(_directory(settings, directory), ledger.last_good() if ledger else ())
        declared = found.desired.collectors.get(name) or found.desired.invalid[name]
        history = ledger.histories([name]).get(name) if ledger else None
        return Description(
            collector=shown, sessions=tuple(map(Session.of, ledger.sessions(name))) if ledger and history else (),
            parked=tuple(map(shown_parked, ledger.parked(name))) if ledger and history else (),
            history_size=history.size if history else 0, epoch=history.declared.epoch if history else 0,
            source=declared.source)


def collect_offline(settings: Settings, directory: Path, names: Sequence[str] | None, force: bool,
                    on_progress: OnProgress) -> dict[str, Session]:
    """One session of each of `names`, or of every enabled collector. Owns the state meanwhile."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with owned(settings.state_dir), _ledger(settings) as ledger:
        work = _once(settings, ledger)
        decision, histories = work.decide(_directory(settings, directory))
        collectors = decision.desired.collectors
        chosen: Collection[str] = [name for name, found in collectors.items() if found.effective.enabled]
        return work.run(decision, histories, chosen if names is None else names, force, on_progress)


def clear_offline(settings: Settings, directory: Path, name: str) -> dict[str, int]:
    """Forget what was collected. Raises KeyError where no such collector is declared."""
    with owned(settings.state_dir), _ledger(settings) as ledger:
        _, histories = _once(settings, ledger).decide(_directory(settings, directory))
        return {"epoch": ledger.clear(name, _now()).epoch, "forgotten": histories[name].size}


def unpark_offline(settings: Settings, name: str) -> int:
    """Parked messages are to be tried again; how many there are."""
    with owned(settings.state_dir), _ledger(settings) as ledger:
        return ledger.unpark(name)


def check(settings: Settings, directory: Path, name: str) -> CheckReport:
    """Connect, log in, list. Raises KeyError where no such collector is declared, ManifestInvalid."""
    with _ledger_if_any(settings) as ledger:
        return Checks(settings, ledger).run(_declared(settings, directory, name, ledger))


def fsck(settings: Settings, directory: Path, *, mend: bool) -> list[Finding]:
    """Compare the ledger with the Maildirs and the manifests. Owns the state meanwhile. Raises LedgerAbsent where there
    is no ledger."""
    from reconciler.control.fsck import Fsck  # noqa: PLC0415  # these three: no session needs them
    from reconciler.destinations.maildir.audit import Maildirs  # noqa: PLC0415
    from reconciler.destinations.maildir.names import SUFFIX  # noqa: PLC0415

    with closing(open_ledger(settings.state_url, create=False)) as reading, owned(settings.state_dir):
        desired = once.find(_directory(settings, directory), reading.last_good()).desired
        maildirs = {name: Maildirs(path) for name, collector in desired.collectors.items()
                    if (path := _maildir_path(collector, settings)) is not None}
        with closing(open_ledger(settings.state_url)) if mend else nullcontext(reading) as ledger:
            return Fsck(ledger, {*desired.collectors, *desired.invalid}, maildirs, mend, _now(), SUFFIX).run()


def proposal(settings: Settings, directory: Path, place: Path, now: InForce | None) -> Proposal:
    """What `directory` would change if it stood at `place`; `now`: what a daemon runs, else the ledger says. Raises
    ManifestsMissing, NotSupported."""
    if not directory.is_dir():
        raise ManifestsMissing(f"{directory} is no directory")
    if now is None:
        with _ledger_if_any(settings) as ledger:
            now = last_in_force(ledger) if ledger else NOTHING_IN_FORCE
    try:
        return propose(_directory(settings, directory), place, now)
    except ValueError as error:
        raise NotSupported("what is in force was declared with another version of mailcollector: restart the daemon "
                           "with this one") from error


def confirm_removed(settings: Settings, name: str) -> None:
    """That this collector's manifest is gone is meant: the next daemon does not hold it."""
    with _ledger_if_any(settings) as existing:
        if existing is None:
            return
    with _ledger(settings) as ledger:
        ledger.save_last_good([], [("MailCollector", name)], _now())


def consent(settings: Settings, directory: Path, name: str, way: Way, show: Callable[[Prompt], None]) -> str:
    """Get a refresh token for this collector; the file that it was written to. Raises KeyError where no such collector
    is declared, ManifestInvalid, and what consent raises."""
    from reconciler.secrets.oauth2 import Consent  # noqa: PLC0415  # only this needs it

    with _ledger_if_any(settings) as ledger:
        source = _declared(settings, directory, name, ledger).effective.source
    asked = Consent(source, way)
    asked.ask(show)
    return asked.file


def _directory(settings: Settings, directory: Path, *, allow_empty: bool = False) -> Directory:
    return Directory(directory, allow_inline_secrets=settings.allow_inline_secrets, allow_empty=allow_empty)


def routing(settings: Settings, directory: Path, name: str, head: bytes) -> Routing:
    """Who would get the message that begins with `head`. Raises KeyError where no such collector is declared,
    ManifestInvalid, DestinationUnavailable."""
    with _ledger_if_any(settings) as ledger:
        collector = _declared(settings, directory, name, ledger)
    destination = open_destination(collector, settings)
    try:
        return _task(collector, destination).route(head)
    finally:
        destination.finish()


def _declared(settings: Settings, directory: Path, name: str, ledger: SqlLedger | None) -> DesiredCollector:
    desired = once.find(_directory(settings, directory), ledger.last_good() if ledger else ()).desired
    if name in desired.invalid:
        raise ManifestInvalid(desired.invalid[name].problem.message)
    return desired.collectors[name]


def _once(settings: Settings, ledger: SqlLedger) -> once.Once:
    pool = SessionPool(Sessions(settings, ledger).run, backoff.decide, ledger, settings.max_sessions, _now, _stamp)
    return once.Once(ledger, pool, lambda: Admission(settings.max_sessions, _limits(settings)), _now)


def _limits(settings: Settings) -> LimitsOf:
    return limits(settings.host_connections, settings.host_logins_per_minute)


# -- one session, composed


class Sessions:
    """Runs sessions of any collector, from any thread."""

    def __init__(self, settings: Settings, ledger: SqlLedger) -> None:
        self._settings = settings
        self._ledger = ledger

    def run(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """One session, recorded in the ledger. Raises only LedgerUnavailable, and defects."""
        report = self._session(collector, control)
        self._ledger.record_session(collector.name, report)
        return report

    def _session(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """A second one where an access token was refused that had been accepted before."""
        source, report = collector.effective.source, self._attempt(collector, control)
        if source.oauth2 is None:
            return report
        if report.error and report.error.reason in _REFUSED and _tokens().refused(source):
            report = self._attempt(collector, control)
        expiry = _tokens().expiry(source)
        return replace(report, token_expires_at=datetime.fromtimestamp(expiry, UTC) if expiry else None)

    def _attempt(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        started = _now()
        secrets: list[Secret] = []
        try:
            secrets.append(_secret(collector.effective.source))
            source = _open_source(collector.effective.source, secrets[0])
            destination = open_destination(collector, self._settings)

            def break_off() -> None:
                source.abort()
                destination.abort()

            control.on_give_up(break_off)
            try:
                session = CollectSession(_task(collector, destination), source, destination, self._ledger, control,
                                         _now)
                return _redacted(session.run(), secrets)
            finally:
                source.abort()
                destination.finish()
        except CollectorError as error:
            failure = Failure(error.reason, redact(str(error), secrets))
            return SessionReport(started, _now(), Outcome.FAILED, error=failure)


class Checks:
    """Finds out what sessions would do. `ledger` is None where there is none yet."""

    def __init__(self, settings: Settings, ledger: SqlLedger | None) -> None:
        self._settings = settings
        self._ledger = ledger

    def run(self, collector: DesiredCollector) -> CheckReport:
        destination = open_destination(collector, self._settings)
        source = collector.effective.source
        return Check(_task(collector, destination), self._ledger).run(
            lambda: _secret(source), lambda: _open_source(source, _secret(source)), destination.check)


def _task(collector: DesiredCollector, destination: Destination[Any]) -> Task:
    spec = collector.effective
    account = own_address(spec.source)

    def routed(head: bytes) -> Routing:
        return route(head, spec.recipient, account, destination.exists, destination.deliverable)

    return Task(collector.name, spec.collect.mode, spec.collect.limit, octets(spec.collect.max_message_size), routed,
                single=spec.recipient.detect is None, digest=collector.effective_digest)


def _secret(spec: SourceSpec) -> Secret:
    """What to log in with: the password, or an access token."""
    if spec.oauth2 is not None:
        return _tokens().get(spec).secret
    assert spec.password is not None  # noqa: S101  # the schema: exactly one of the two
    return read_secret(spec.password)


def _stamp(collector: DesiredCollector) -> str:
    """Changes when a file does that one of the source's secrets lives in."""
    source = collector.effective.source
    secrets = (source.oauth2.refresh_token, source.oauth2.client_secret) if source.oauth2 else (source.password,)
    return " ".join(stamp(secret) or "-" for secret in secrets if secret is not None)


@functools.cache
def _tokens() -> AccessTokens:
    """Those of this process."""
    from reconciler.secrets.oauth2 import AccessTokens  # noqa: PLC0415  # most have passwords, and need no HTTP client

    return AccessTokens()


def _open_source(spec: SourceSpec, secret: Secret) -> Source:
    if spec.protocol == "imap":
        from reconciler.sources.imap import open_imap  # noqa: PLC0415  # IMAPClient is slow to import

        return open_imap(spec, secret, Limits())
    from reconciler.sources.pop3 import open_pop3  # noqa: PLC0415  # many have IMAP only

    return open_pop3(spec, secret, Limits())


def _open_push(collector: DesiredCollector) -> Push:
    from reconciler.sources.imap.idle import open_push  # noqa: PLC0415  # IMAPClient is slow to import

    spec = collector.effective.source
    return open_push(spec, _secret(spec), Limits())


def open_destination(collector: DesiredCollector, settings: Settings) -> Destination[Any]:
    """Where this collector's mail goes, for one session."""
    path = _maildir_path(collector, settings)
    if path is not None:
        return Maildir(path, create=True, shared=collector.effective.recipient.detect is not None)
    spec = collector.destination
    assert spec is not None  # noqa: S101  # without one it is a Maildir
    if spec.lmtp:
        from reconciler.destinations.lmtp import lmtp_destination, lmtp_endpoint  # noqa: PLC0415  # most have Maildirs

        return lmtp_destination(lmtp_endpoint(spec.lmtp))
    from reconciler.destinations.smtp import Login, smtp_destination, smtp_endpoint  # noqa: PLC0415  # the same

    assert spec.smtp is not None  # noqa: S101  # the schema: exactly one of the three
    smtp, password = spec.smtp, spec.smtp.password
    login = Login(smtp.username, lambda: read_secret(password)) if smtp.username and password else None
    return smtp_destination(smtp_endpoint(smtp), login)


def _maildir_path(collector: DesiredCollector, settings: Settings) -> str | None:
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


def shown_parked(message: ParkedMessage) -> Parked:
    return Parked(folder=message.folder, key=message.key, size=message.size, reason=message.reason,
                  since=message.since)


@contextmanager
def _ledger(settings: Settings) -> Iterator[SqlLedger]:
    """For the owner of the state."""
    ledger = open_ledger(settings.state_url)
    try:
        ledger.take()
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _ledger_if_any(settings: Settings) -> Iterator[SqlLedger | None]:
    try:
        ledger = open_ledger(settings.state_url, create=False)
    except LedgerAbsent:
        yield None
        return
    try:
        yield ledger
    finally:
        ledger.close()


def _now() -> datetime:
    return datetime.now(UTC)
