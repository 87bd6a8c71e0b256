"""Compose sessions of the adapters that their collectors need, and run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from reconciler.app.adapters import open_destination, open_source, utc_now
from reconciler.app.login_secrets import LoginSecrets, secret_stamp
from reconciler.collect import backoff
from reconciler.collect.routing import own_address, route
from reconciler.collect.session import Session as CollectSession
from reconciler.collect.session_context import SessionTask
from reconciler.control.admission import Admission
from reconciler.control.dialogue_files import DIRECTORY, DialogueFiles
from reconciler.control.dialogue_store import DialogueStore
from reconciler.control.host_limits import LimitsOf, limits
from reconciler.control.one_session_each import OneSessionEach
from reconciler.control.service_pause import FILE as PAUSE_FILE
from reconciler.control.service_pause import Pause, read_pause
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.ledger import SqlLedger
from reconciler.model.errors import CollectorError
from reconciler.model.interfaces import MailDestination
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.routing_answer import Routing
from reconciler.model.scalar_types import (
    octets,
)
from reconciler.model.secret import Secret, redact
from reconciler.model.session_dialogue import SessionDialogue
from reconciler.model.settings import Settings
from reconciler.planning.desired_state import DesiredCollector
from reconciler.wire.transcript import Transcript


class SessionRunner:
    """Runs sessions of any collector, from any thread."""

    def __init__(
        self, settings: Settings, ledger: SqlLedger, tokens: LoginSecrets, dialogues: DialogueStore
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._tokens = tokens
        self._dialogues = dialogues

    def run(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """Run one session and record it in the ledger. Raises only LedgerUnavailable, and
        defects."""
        report = self._session(collector, control)
        self._ledger.record_session(collector.name, report)
        return report

    def _session(self, collector: DesiredCollector, control: SessionControl) -> SessionReport:
        """Run a session; run a second one if an access token was refused that had been accepted
        before."""
        source = collector.effective.source
        secrets: list[Secret] = []
        report = self._attempt(collector, control, secrets)
        if source.oauth2 is None:
            return report
        if (
            secrets
            and report.error
            and self._tokens.may_need_new_token(source, secrets[0], report.error.reason)
        ):
            report = self._attempt(collector, control, [])
        expiry = self._tokens.store.expiry(source)
        return replace(
            report, token_expires_at=datetime.fromtimestamp(expiry, UTC) if expiry else None
        )

    def _attempt(
        self, collector: DesiredCollector, control: SessionControl, secrets: list[Secret]
    ) -> SessionReport:
        """Run one attempt, and keep its dialogue; append what was logged in with to `secrets`."""
        started, transcript = utc_now(), Transcript()
        end = self._dialogues.running.begin(collector.name, "session", started, transcript.lines)
        try:
            report = self._tried(collector, control, secrets, transcript)
            self._dialogues.add(collector.name, dialogue_of(transcript, report, started))
        finally:
            end()
        return report

    def _tried(
        self,
        collector: DesiredCollector,
        control: SessionControl,
        secrets: list[Secret],
        transcript: Transcript,
    ) -> SessionReport:
        started = utc_now()
        try:
            with control.not_the_server():
                secrets.append(self._secret(collector, control))
            source = open_source(
                collector.effective.source,
                secrets[0],
                self._settings,
                control.entered,
                control.another_login,
                transcript,
            )
            destination = open_destination(collector, self._settings, self._ledger, transcript)

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
        """Return what to log in with. A slow token endpoint does not delay giving up the
        session."""
        given_up: Future[None] = Future()
        control.on_give_up(lambda: None if given_up.done() else given_up.set_result(None))
        return self._tokens.secret_of(collector.effective.source, given_up, collector.name)


def task(collector: DesiredCollector, destination: MailDestination[Any]) -> SessionTask:
    spec = collector.effective
    account = own_address(spec.source)

    def routed(head: bytes) -> Routing:
        return route(head, spec.recipient, account, destination.exists, destination.deliverable)

    return SessionTask(
        collector.name,
        spec.collect.mode,
        spec.collect.limit,
        octets(spec.collect.max_message_size),
        routed,
        single=spec.recipient.detect is None,
        digest=collector.effective_digest,
    )


def dialogue_of(
    transcript: Transcript, report: SessionReport, started: datetime, what: str = "session"
) -> SessionDialogue:
    """Return what was said in a session or a check that ended with this report."""
    error = report.error
    return SessionDialogue(
        what,
        started,
        report.finished_at,
        report.outcome.value,
        error.reason if error else "",
        error.message if error else "",
        tuple(transcript.lines()),
    )


def _redacted(report: SessionReport, secrets: Sequence[Secret]) -> SessionReport:
    """Remove secrets that an adapter may have put into a text (hazard S1)."""
    notes = tuple(redact(note, secrets) for note in report.notes)
    error = report.error and replace(report.error, message=redact(report.error.message, secrets))
    return replace(report, notes=notes, error=error)


def open_dialogue_store(settings: Settings, *, ends: bool) -> DialogueStore:
    """Return where dialogues are kept. `ends`: the process ends after its sessions."""
    return DialogueStore(DialogueFiles(settings.state_dir / DIRECTORY), ends=ends)


@contextmanager
def one_session_each(
    settings: Settings, ledger: SqlLedger, *, asked: bool
) -> Iterator[OneSessionEach]:
    """Run sessions in a process that owns the state and then ends. `asked`: somebody named the
    collectors."""
    with LoginSecrets() as tokens:
        pool = SessionPool(
            SessionRunner(settings, ledger, tokens, open_dialogue_store(settings, ends=True)).run,
            backoff.next_backoff,
            ledger,
            settings.max_sessions,
            utc_now,
            secret_stamp,
        )
        yield OneSessionEach(
            pool,
            lambda: Admission(settings.max_sessions, limits_of(settings)),
            utc_now,
            asked,
            kept_pause(settings),
        )


def kept_pause(settings: Settings) -> Pause | None:
    """Return the pause of the whole service, which also holds while no daemon runs."""
    return read_pause(settings.state_dir / PAUSE_FILE)


def limits_of(settings: Settings) -> LimitsOf:
    return limits(settings.host_connections, settings.host_logins_per_minute)
