"""Checks that users ask for: few at once, in threads of their own, and admitted to a host as sessions are.

So a server that never answers costs a few threads however often it is checked, and a host's limits hold for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from reconciler.control.admission import Admission, admitted
from reconciler.control.doors import place_of
from reconciler.control.sessions import Relay, SessionControl
from reconciler.control.threads import Threads
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.status import CheckReport
from reconciler.planning.desired import DesiredCollector

AT_ONCE = 4
Check = Callable[[DesiredCollector, SessionControl], CheckReport]
"""Connects, logs in and counts; blocking, raises nothing but defects. The control breaks it off."""


class Checks:
    """One at a time of each collector: whoever asks meanwhile gets the same answer."""

    def __init__(self, check: Check, admission: Admission) -> None:
        self._check = check
        self._admission = admission
        self._threads = Threads("check", AT_ONCE)
        self._room = asyncio.Semaphore(AT_ONCE)
        """Whoever waits here takes no place of a host yet."""
        self._running: dict[str, asyncio.Task[CheckReport]] = {}
        self._controls: set[SessionControl] = set()

    async def run(self, collector: DesiredCollector) -> CheckReport:
        """What was found. Raises CollectorError where nothing was tried."""
        name = collector.name
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(self._one(collector), name=f"check of {name}")
            running.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(running)

    async def _one(self, collector: DesiredCollector) -> CheckReport:
        relay = Relay(asyncio.get_running_loop())
        async with self._room, admitted(self._admission, place_of(collector), urgent=True) as ticket:
            control = SessionControl(entered=lambda: relay.call(lambda: self._admission.entered(ticket)))
            self._controls.add(control)
            try:
                report = await self._threads.run(self._check, collector, control)
                self._admission.learn(ticket, _as_session(report), knocked=not control.failed_elsewhere)
                return report
            finally:
                self._controls.discard(control)

    def close(self) -> None:
        """Break off what runs, and take no more."""
        for task in list(self._running.values()):
            task.cancel()
        for control in list(self._controls):
            control.give_up()
        self._threads.close()


def _as_session(report: CheckReport) -> SessionReport:
    """What it says of the server, which is as good as what a session finds."""
    now = datetime.now(UTC)
    failure = Failure(report.error.reason, report.error.message) if report.error else None
    return SessionReport(now, now, Outcome.FAILED if failure else Outcome.SUCCEEDED, error=failure)
