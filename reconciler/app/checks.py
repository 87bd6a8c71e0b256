"""What a session would find, without one."""

from __future__ import annotations

from reconciler.app.sessions import open_destination, open_source, secret_of, task
from reconciler.collect.check import Check
from reconciler.control.sessions import SessionControl
from reconciler.ledger import SqlLedger
from reconciler.model.interfaces import Source
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport
from reconciler.planning.desired import DesiredCollector


class Checks:
    """`ledger` is None where there is none yet."""

    def __init__(self, settings: Settings, ledger: SqlLedger | None) -> None:
        self._settings = settings
        self._ledger = ledger

    def run(self, collector: DesiredCollector, control: SessionControl | None = None) -> CheckReport:
        """Connect, log in, list, and look at the destination. `control` breaks it off."""
        destination = open_destination(collector, self._settings)
        spec = collector.effective.source

        def opened() -> Source:
            source = open_source(spec, secret_of(spec))

            def break_off() -> None:
                source.abort()
                destination.abort()

            if control is not None:
                control.on_give_up(break_off)
            return source

        return Check(task(collector, destination), self._ledger).run(
            lambda: secret_of(spec), opened, destination.check)
