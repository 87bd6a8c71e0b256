"""Check an account without a session: what a session would find."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime

from reconciler.app.adapters import open_destination, open_source, utc_now
from reconciler.app.login_secrets import LoginSecrets
from reconciler.app.session_assembly import dialogue_of, task
from reconciler.collect.account_check import AccountCheck
from reconciler.control.check_requests import as_session
from reconciler.control.dialogue_store import DialogueStore
from reconciler.control.session_control import SessionControl
from reconciler.ledger import SqlLedger
from reconciler.model.interfaces import Source
from reconciler.model.secret import Secret
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport
from reconciler.planning.desired_state import DesiredCollector
from reconciler.wire.transcript import Transcript


class AccountChecks:
    """Checks accounts of collectors. `ledger` is None if there is none yet."""

    def __init__(
        self,
        settings: Settings,
        ledger: SqlLedger | None,
        tokens: LoginSecrets,
        dialogues: DialogueStore | None = None,
    ) -> None:
        """Take the parts. `dialogues` keeps the lines that are sent and received."""
        self._settings = settings
        self._ledger = ledger
        self._tokens = tokens
        self._dialogues = dialogues

    def run(
        self, collector: DesiredCollector, control: SessionControl | None = None
    ) -> CheckReport:
        """Connect, log in, list, and check the destination. `control` can break the check off, and
        learns when the server accepts the login. If an access token is refused that had been
        accepted before, the check runs a second time, as a session does."""
        control = control or SessionControl()
        secrets: list[Secret] = []
        report = self._checked(collector, control, secrets)
        if (
            secrets
            and report.error
            and self._tokens.may_need_new_token(
                collector.effective.source, secrets[0], report.error.reason
            )
        ):
            report = self._checked(collector, control, [])
        return report

    def _checked(
        self, collector: DesiredCollector, control: SessionControl, secrets: list[Secret]
    ) -> CheckReport:
        """Run the check once; append what was logged in with to `secrets`."""
        with ExitStack() as shown:
            started, transcript = utc_now(), Transcript()
            if self._dialogues is not None:
                running = self._dialogues.running
                shown.callback(running.begin(collector.name, "check", started, transcript.lines))
            return self._run(collector, control, secrets, started, transcript)

    def _run(
        self,
        collector: DesiredCollector,
        control: SessionControl,
        secrets: list[Secret],
        started: datetime,
        transcript: Transcript,
    ) -> CheckReport:
        """Run the check, and keep its dialogue."""
        destination = open_destination(collector, self._settings, self._ledger, transcript)
        spec = collector.effective.source

        def secret() -> Secret:
            given_up: Future[None] = Future()
            control.on_give_up(lambda: None if given_up.done() else given_up.set_result(None))
            with control.not_the_server():
                secrets.append(self._tokens.secret_of(spec, given_up, collector.name))
                return secrets[-1]

        def opened() -> Source:
            source = open_source(
                spec, secret(), self._settings, control.entered, control.another_login, transcript
            )

            def break_off() -> None:
                source.abort()
                destination.abort()

            control.on_give_up(break_off)
            return source

        check = AccountCheck(task(collector, destination), self._ledger)
        report = check.run(secret, opened, destination.check)
        control.failure = check.failure
        if self._dialogues is not None:
            dialogue = dialogue_of(transcript, as_session(check.failure), started, "check")
            self._dialogues.add(collector.name, dialogue)
        return report
