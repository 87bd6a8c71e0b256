"""Run requested checks: a few at once, in threads of their own, and admitted to a host like
sessions.

So a server that never answers costs a few threads, however often it is checked. A host's limits
hold for sessions and checks together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from reconciler.control.admission import Admission, NotAdmitted, admitted
from reconciler.control.event_loop import ThreadPool
from reconciler.control.host_health import target_of
from reconciler.control.host_queues import Ticket
from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.running_set import RunningSet
from reconciler.control.session_control import Relay, SessionControl
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.status import CheckReport, CheckStep, SessionError
from reconciler.planning.desired_state import DesiredCollector

AT_ONCE = 4
Learn = Callable[[DesiredCollector, SessionReport, Retry | None], Retry | None]
"""Returns the back-off after a check, from the one before; blocking."""
Check = Callable[[DesiredCollector, SessionControl], CheckReport]
"""Connects, logs in and counts. Blocking; raises only defects; ends early when the control says
so."""


class CheckRequests:
    """Runs one check of each collector at a time: those who ask meanwhile get the same answer."""

    def __init__(
        self,
        check: Check,
        admission: Admission,
        loops: RunningSet | None = None,
        learn: Learn | None = None,
    ) -> None:
        """Take the parts. With `loops`, the server's answer to a check's login counts for their
        back-offs, by `learn`."""
        self._check = check
        self._admission = admission
        self._loops = loops
        self._learn = learn
        self._threads = ThreadPool("check", AT_ONCE)
        self._room = asyncio.Semaphore(AT_ONCE)
        """Limits the checks that run. A check that waits for it has not asked for admission yet."""
        self._running: dict[str, asyncio.Task[CheckReport]] = {}
        self._controls: set[SessionControl] = set()

    async def run(self, collector: DesiredCollector) -> CheckReport:
        """Return what was found. Raises CollectorError where nothing was tried."""
        name = collector.name
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = asyncio.create_task(
                self._one(collector), name=f"check of {name}"
            )
            running.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(running)

    async def run_draft(self, collector: DesiredCollector) -> CheckReport:
        """Return the result for a draft of a collector. The declared collector learns nothing from
        it. Raises CollectorError where nothing was tried."""
        async with (
            self._room,
            admitted(self._admission, target_of(collector), urgent=True) as ticket,
        ):
            return (await self._checked(collector, ticket))[0]

    async def _one(self, collector: DesiredCollector) -> CheckReport:
        async with (
            self._room,
            admitted(self._admission, target_of(collector), urgent=True) as ticket,
        ):
            if self._loops is None:
                return (await self._checked(collector, ticket))[0]
            async with self._loops.checking(collector.name) as retry:
                busy = self._loops.is_busy(collector.name)
                report, found = await self._checked(collector, ticket)
                if (
                    self._learn is not None and found is not None and not busy
                ):  # else its own session was in the way
                    kept = await self._threads.run(self._learn, collector, found, retry)
                    self._loops.back_off(collector, kept)
                return report

    async def _checked(
        self, collector: DesiredCollector, ticket: Ticket
    ) -> tuple[CheckReport, SessionReport | None]:
        """Return the report, and what it says of the server as a session's report; None where the
        check did not reach the server."""
        relay = Relay(asyncio.get_running_loop())
        control = SessionControl(
            entered=lambda: relay.call(lambda: self._admission.entered(ticket)),
            login=lambda: relay.call(lambda: self._admission.another_login(ticket)),
        )
        self._controls.add(control)
        try:
            report = await self._threads.run(self._check, collector, control)
        finally:
            self._controls.discard(control)
        found = as_session(control.failure)
        self._admission.learn(ticket, found, reached=not control.failed_elsewhere)
        return report, None if control.failed_elsewhere else found

    def close(self) -> None:
        """Break off the checks that run, and take no more."""
        for task in list(self._running.values()):
            task.cancel()
        for control in list(self._controls):
            control.give_up()
        self._threads.close()


async def reported(name: str, asked: Awaitable[CheckReport]) -> CheckReport:
    """Return the report of the check `asked`, also if it was not made because this login was
    refused before or the host lets nobody in."""
    try:
        return await asked
    except SessionRefused as refused:
        return not_tried(name, Failure.of(refused), f"not tried: {refused}")
    except NotAdmitted as away:
        return not_tried(name, Failure.of(away), str(away))


def not_tried(name: str, error: Failure, message: str) -> CheckReport:
    """Return the report of a check that was not made, for this reason."""
    step = CheckStep(step="log in and list", ok=False, message=message)
    return CheckReport(name=name, ok=False, steps=(step,), error=SessionError.of(error))


def as_session(failure: Failure | None) -> SessionReport:
    """Return the result of a check as a session's report, so that it counts like one."""
    now = datetime.now(UTC)
    return SessionReport(now, now, Outcome.FAILED if failure else Outcome.SUCCEEDED, error=failure)
