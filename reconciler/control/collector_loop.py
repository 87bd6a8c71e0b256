"""A running collector: a timer, and at most one session at a time. While it waits it costs no
thread.

`control.loop_state` has its states and the table of transitions, `control.due_times` says when the
next session is due, `control.loop_backoff` what forbids it, `control.loop_session` runs it.

One file: each method is a transition of the same state, and a reader needs all of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from reconciler.control.admission import not_tried
from reconciler.control.contained_defects import INTERNAL_ERROR
from reconciler.control.due_times import DueTimes
from reconciler.control.host_health import target_of
from reconciler.control.host_queues import Ticket
from reconciler.control.loop_backoff import LoopBackoff
from reconciler.control.loop_session import LoopServices, LoopSession
from reconciler.control.loop_state import (
    CollectorVersion,
    LoopSnapshot,
    LoopState,
    check_transition,
)
from reconciler.control.push_listener import NO_PUSH, PushListener
from reconciler.control.session_request import SessionResult
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.planning.desired_state import DesiredCollector

_DEFECT = Failure(INTERNAL_ERROR, "a defect of mailcollector, please report it with the log")


class Loop:
    """The loop of one collector. It is level-triggered: `replace` and `stop` say what is wanted,
    and the loop gets there when its session is over."""

    __slots__ = (
        "_awaiting_first",
        "_backoff",
        "_clock",
        "_due",
        "_due_times",
        "_later_requests",
        "_next_version",
        "_push",
        "_quiet_times",
        "_requests",
        "_services",
        "_session",
        "_started_at",
        "_state",
        "_stopping",
        "_ticket",
        "_timer",
        "_version",
    )

    def __init__(
        self, version: CollectorVersion, retry: Retry | None, services: LoopServices
    ) -> None:
        self._services = services
        self._clock = services.clock
        self._state = LoopState.WAITING
        # what is wanted
        self._version = version
        self._next_version: CollectorVersion | None = None
        self._stopping = False
        self._quiet_times = 0
        """Quiet times that are open now; they may overlap."""
        self._requests: list[asyncio.Future[SessionReport]] = []
        """Futures of the callers that wait for the session's report."""
        self._later_requests: list[asyncio.Future[SessionReport]] = []
        """The same for the session after the running one."""
        # the next session
        self._backoff = LoopBackoff(version.collector, retry, services.clock, services.stamp)
        self._push = self._push_for(version.collector, NO_PUSH)
        self._due_times = self._join(version.collector)
        self._due: float | None = None
        """When the next session is due. It is kept while a session runs and in quiet times."""
        self._timer: asyncio.TimerHandle | None = None
        self._ticket: Ticket | None = None
        self._session: LoopSession | None = None
        """The running session."""
        # what is shown
        self._started_at = services.clock.now()
        self._awaiting_first = True

    @property
    def name(self) -> str:
        return self._version.collector.name

    @property
    def wanted(self) -> CollectorVersion | None:
        """The version that runs, or will run after the present session. None if the loop is to
        end."""
        return None if self._stopping else self._next_version or self._version

    @property
    def busy(self) -> bool:
        """Whether a session runs."""
        return self._state is LoopState.RUNNING

    @property
    def session(self) -> asyncio.Task[None] | None:
        """The task of the running session."""
        return self._session.task if self._session else None

    @property
    def retry(self) -> Retry | None:
        """The back-off in force. None without one, or for one of an older spec."""
        return self._backoff.active

    def snapshot(self) -> LoopSnapshot:
        """Return the visible state of the loop."""
        return LoopSnapshot(
            self._version.generation,
            self._started_at,
            self._due_times.expected(None if self.busy else self._due),
            self._state,
            self._awaiting_first,
            self.retry,
            self._due_times.host.outage,
            self._due_times.destination_outage,
        )

    # -- what is wanted

    def start(self, delay: float) -> None:
        """Begin with a session after `delay` seconds, or when a back-off that was kept for this
        spec ends."""
        self._schedule(self._due_times.first(delay))

    def replace(self, version: CollectorVersion, delay: float = 0.0) -> None:
        """Run this version instead, after the message in hand. This also takes back a `stop`."""
        self._stopping = False
        self._next_version = version
        if self._session is None:
            self._adopt(version, delay)
        else:
            self._session.control.stop()
            self._services.observer.changed(self.name)

    def update(self, version: CollectorVersion) -> None:
        """Take over labels, annotations and the manifest's place: nothing that a session depends
        on."""
        wanted = self._next_version or self._version
        if wanted.collector is version.collector and wanted.generation == version.generation:
            return
        if self._next_version is None:
            self._version = replace(version, fresh=self._version.fresh)
            self._backoff.collector = version.collector
        else:
            self._next_version = replace(version, fresh=self._next_version.fresh)

    def stop(self) -> None:
        """End, after the message in hand."""
        self._stopping = True
        self._next_version = None
        self._cancel_next()
        if self._session is None:
            self._end()
        else:
            self._session.control.stop()

    def give_up(self) -> None:
        """End the session without waiting for the message in hand."""
        if self._session is not None:
            self._session.control.give_up()

    def secret_changed(self) -> None:
        """Start the next session now: what the back-off was for has changed."""
        now = self._clock.monotonic()
        if not self.busy and not self._stopping and self._due is not None and self._due > now:
            self._schedule(now)

    def collect_now(self, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """Return the report of a session that finds what is on the server now: one that starts now,
        the running one until the server lets it in, or else the next one, which follows at once.
        Where the running one does not succeed, its report stands for the next one.

        Raises SessionRefused while the server asks for a pause, and unless `force` while a refused
        login is not to be repeated.
        """
        if not self.busy:
            self.check_allowed(force=force)
        asked: asyncio.Future[SessionReport] = asyncio.get_running_loop().create_future()
        too_late = self._session is not None and self._session.let_in
        (self._later_requests if too_late else self._requests).append(asked)
        if self._state in {LoopState.WAITING, LoopState.QUEUED}:
            self._cancel_next()
            self._queue(urgent=True)
        return asked

    def check_allowed(self, *, force: bool) -> None:
        """Raise SessionRefused where a session must not start, as `collect_now` does."""
        self._backoff.check_allowed(force=force)

    @asynccontextmanager
    async def quiet(self, *, ending: bool = True) -> AsyncIterator[None]:
        """Keep sessions from beginning inside of this context; one that is due waits. With
        `ending` the running session ends first, after its message."""
        self._quiet_times += 1
        self._cancel_next()
        if self._state in {LoopState.WAITING, LoopState.QUEUED}:
            self._enter(LoopState.QUIET)
        try:
            while ending and self._session is not None and self._session.task is not None:
                self._session.control.stop()
                await asyncio.wait({self._session.task})
            yield
        finally:
            self._quiet_times -= 1
            if not self._quiet_times and self._state is LoopState.QUIET:
                self._resume()

    def back_off(self, collector: DesiredCollector, retry: Retry | None) -> None:
        """Take over the back-off that a check of this spec has found."""
        same_spec = self._version.collector.effective_digest == collector.effective_digest
        if self.busy or self._stopping or not same_spec:
            return
        before = self.retry
        self._backoff.record(retry)
        if self._due is not None and retry != before:
            now = self._clock.monotonic()
            self._schedule(now if retry is None else max(self._due, self._backoff.ends_at))

    # -- transitions

    def _enter(self, state: LoopState) -> None:
        """Change the state. A transition that the table does not have is a defect: it is logged
        and counted, and the loop goes on."""
        with self._services.defects.contained(self.name, "changing the state of its loop"):
            check_transition(self._state, state)
        self._state = state

    def _schedule(self, due: float) -> None:
        """Set the time of the next session."""
        self._cancel_next()
        self._due = due
        state = LoopState.QUIET if self._quiet_times else LoopState.WAITING
        if state is LoopState.WAITING:
            self._timer = asyncio.get_running_loop().call_at(due, self._queue)
        if state is not self._state:
            self._enter(state)
        self._services.observer.changed(self.name)

    def _cancel_next(self) -> None:
        """Take back the timer, or the place in the queue."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ticket is not None:
            self._services.admission.cancel(self._ticket)
            self._ticket = None

    def _queue(self, *, urgent: bool = False) -> None:
        """Ask for admission. The session begins before this returns where there is room."""
        self._timer = None
        if self._state is not LoopState.QUEUED:
            self._enter(LoopState.QUEUED)
        refuse = self._host_is_away if self._requests else None
        admission, target = self._services.admission, self._due_times.target
        ticket = admission.request(target, self._begin, refuse=refuse, urgent=urgent)
        if self._state is LoopState.QUEUED:
            self._ticket = ticket
            if self._due_times.host.away:
                self._services.observer.changed(self.name)

    def _begin(self, ticket: Ticket) -> None:
        """Begin the session that was admitted. Nothing is raised: the caller has others to
        admit."""
        self._ticket = None
        self._enter(LoopState.RUNNING)
        with self._services.defects.contained(
            self.name, "beginning a session", lambda: self._abandon(ticket)
        ):
            self._start_session(ticket)

    def _resume(self) -> None:
        """Go on after a quiet time, or after a place in the queue was lost."""
        if self._requests:
            self._queue(urgent=True)
        elif self._due is not None:
            self._schedule(self._due)

    def _adopt(self, version: CollectorVersion, delay: float) -> None:
        """Run another version from now on. No session runs."""
        self._push.reset()
        self._push = self._push_for(version.collector, self._push)
        self._version, self._next_version = version, None
        self._backoff.collector = version.collector
        self._due_times = self._join(version.collector)
        self._started_at = self._clock.now()
        self._awaiting_first = True
        self.start(delay)

    def _push_for(self, collector: DesiredCollector, before: PushListener) -> PushListener:
        """Return the listener that was there before, or the first one that is needed."""
        if before is not NO_PUSH or not collector.effective.collect.push:
            return before
        return PushListener(self.name, self._services.open_push, self._call_session)

    def _join(self, collector: DesiredCollector) -> DueTimes:
        """Tell the admission where this collector has its mail."""
        admission, target = self._services.admission, target_of(collector)
        admission.join(self.name, target, self._backoff.interval, self._is_back)
        return DueTimes(target, self._backoff, admission, self._clock)

    def _end(self) -> None:
        self._push.reset()
        self._services.admission.leave(self.name)
        self._due = None
        if self._state is not LoopState.ENDED:
            self._enter(LoopState.ENDED)
        now = self._clock.now()
        self._answer(SessionReport(now, now, Outcome.INTERRUPTED))
        self._services.observer.ended(self.name)

    # -- the session

    def _start_session(self, ticket: Ticket) -> None:
        asked_for = bool(self._requests)
        self._session = LoopSession(self.name, ticket, self._services, asked_for=asked_for)
        self._services.observer.changed(self.name)
        self._session.task = asyncio.get_running_loop().create_task(
            self._run(self._session), name=f"session of {self.name}"
        )

    async def _run(self, session: LoopSession) -> None:
        """Run the session's task. Whatever happens, its admission is given back and the next
        session is due."""
        with self._services.defects.contained(
            self.name, "a session", lambda: self._abandon(session.ticket)
        ):
            await self._collect(session)

    async def _collect(self, session: LoopSession) -> None:
        started, host = self._clock.monotonic(), self._due_times.host
        result = await session.run(self._version, self._backoff, host, self._push)
        self._learn(result)
        self._session = None
        session.leave(result.report)
        self._answer(result.report)
        self._proceed(started)

    def _learn(self, result: SessionResult) -> None:
        error = result.report.error
        if error is not None and error.reason == INTERNAL_ERROR:
            self._services.defects.count += 1
        self._backoff.learn(result.report, result.retry)
        self._awaiting_first = False

    def _proceed(self, started: float) -> None:
        """Decide what follows the session that began at `started`."""
        call_for_mail = self._push.session_over()
        if self._ended_or_replaced():
            return
        self._version = replace(self._version, fresh=False)
        self._schedule(self._due_times.next(started))
        if self._requests and self._state is LoopState.WAITING:
            self._cancel_next()
            self._queue(urgent=True)
        elif call_for_mail is not None:
            self._call_session(call_for_mail)

    def _abandon(self, ticket: Ticket) -> None:
        """Go on after a session that a defect of this program ended: the next one comes after the
        interval."""
        now = self._clock.now()
        self._session = None
        self._push.session_over()
        if ticket.held:
            self._services.admission.release(ticket)
        self._answer(SessionReport(now, now, Outcome.FAILED, error=_DEFECT))
        if not self._ended_or_replaced():
            self._schedule(self._clock.monotonic() + self._backoff.interval)

    def _ended_or_replaced(self) -> bool:
        """End, or run another version, where that was asked for while the session ran. Return
        whether it was."""
        if self._stopping:
            self._end()
        elif self._next_version is not None:
            self._adopt(self._next_version, 0.0)
        else:
            return False
        return True

    def _answer(self, report: SessionReport) -> None:
        """Give the report to those who asked for a session. Those who asked too late for it wait
        for the next one, unless there is a reason against a session now."""
        answered, self._requests = self._requests, []
        follows = report.outcome is Outcome.SUCCEEDED and self.wanted is self._version
        if follows and self.retry is None:
            self._requests = self._later_requests
        else:
            answered += self._later_requests
        self._later_requests = []
        for request in answered:
            if not request.done():
                request.set_result(report)

    # -- what others tell it

    def _call_session(self, due: float) -> None:
        """Begin the next session by `due`, for new mail, unless a back-off stands against it.

        It queues behind those that are due: a host with much mail must not keep the other
        collectors there from their intervals.
        """
        if (
            self._due is None
            or due >= self._due
            or self._stopping
            or self._state not in {LoopState.WAITING, LoopState.QUIET}
            or self._backoff.seconds_left is not None
        ):
            return
        if due > self._clock.monotonic():
            self._schedule(due)
        elif self._state is LoopState.WAITING:
            self._cancel_next()
            self._queue()

    def _is_back(self) -> None:
        """Go on at once: the host, or the destination, that the back-off is for is there again."""
        with self._services.defects.contained(self.name, "being told that its host is there again"):
            if (
                self._backoff.is_shared(self.retry)
                and not self._stopping
                and self._state in {LoopState.WAITING, LoopState.QUIET}
            ):
                self._schedule(self._clock.monotonic())

    def _host_is_away(self, failure: Failure) -> None:
        """Tell those who asked for a session that the host is away; the loop goes on waiting for
        it."""
        self._ticket = None
        now = self._clock.now()
        with self._services.defects.contained(self.name, "being told that its host is away"):
            self._answer(SessionReport(now, now, Outcome.FAILED, error=not_tried(failure)))
            self._resume()
