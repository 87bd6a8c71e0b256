"""What a session would find, without one."""

from __future__ import annotations

from reconciler.app.sessions import open_destination, open_source, secret_of, task
from reconciler.collect.check import Check
from reconciler.ledger import SqlLedger
from reconciler.model.settings import Settings
from reconciler.model.status import CheckReport
from reconciler.planning.desired import DesiredCollector


class Checks:
    """`ledger` is None where there is none yet."""

    def __init__(self, settings: Settings, ledger: SqlLedger | None) -> None:
        self._settings = settings
        self._ledger = ledger

    def run(self, collector: DesiredCollector) -> CheckReport:
        """Connect, log in, list, and look at the destination."""
        destination = open_destination(collector, self._settings)
        source = collector.effective.source
        return Check(task(collector, destination), self._ledger).run(
            lambda: secret_of(source), lambda: open_source(source, secret_of(source)), destination.check)
