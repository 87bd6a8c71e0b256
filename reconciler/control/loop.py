"""A running collector: a timer, and at most one session at a time. While it waits it costs no
thread.

`control.loop_state` has its states and the table of transitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.backoff import forbids, remaining
from reconciler.collect.cadence import next_start
from reconciler.control.admission import Admission
from reconciler.control.contained_defects import INTERNAL_ERROR, ContainedDefects
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import (
    HOST_REASONS,
    SHARED_REASONS,
    SessionTarget,
    target_of,
)
from reconciler.control.host_queues import Ticket
from reconciler.control.loop_state import (
    CollectorVersion,
    LoopObserver,
    LoopSnapshot,
    LoopState,
    check_transition,
)
from reconciler.control.push_listener import PushListener
from reconciler.control.session_control import Relay, SessionControl
from reconciler.control.session_request import (
    RunsSessions,
    SecretStamp,
    SessionRequest,
    SessionResult,
    is_secret_changed,
    unstamped,
)
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    DestinationUnavailable,
    Throttled,
)
from reconciler.model.history import Retry
from reconciler.model.interfaces import Push, PushFactory
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.spec import seconds
from reconciler.model.timestamps import timestamp
from reconciler.planning.desired_state import DesiredCollector

DESTINATION_PATIENCE = 3600.0
"""Seconds after which a collector that waits for its destination tries again, even if nobody told
it that the destination is back."""
OpenPush = Callable[[DesiredCollector], Push]
"""Reads the secret and returns a connection, not yet begun. Raises CollectorError."""


class SessionRefused(CollectorError):
    """A session was asked for that must not start now. `next_attempt`: when it may."""

    def __init__(self, reason: str, message: str, next_attempt: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.next_attempt = next_attempt


class LoopServices(Struct, frozen=True):
    """What all loops share. `open_push` is None where no server is to tell of new mail, whatever
    the manifests say."""

    sessions: RunsSessions
    admission: Admission
    clock: Clock
    observer: LoopObserver
    stamp: SecretStamp = unstamped
    open_push: OpenPush | None = None
    defects: ContainedDefects = field(default_factory=ContainedDefects)


class Loop:
    """The loop of one collector. It is level-triggered: `replace` and `stop` say what is wanted,
    and the loop gets there when its session is over."""

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
        """Those who asked for a session and wait for its report."""
        # the back-off
        self._retry = retry
        self._retry_until = self._end_of(retry)
        """By the monotonic clock; the wall clock may jump."""
        self._not_greeted_at: float | None = None
        """When the last session was refused before the server's greeting; None if it was not."""
        # the next session
        self._target = self._join(version)
        self._due: float | None = None
        """When the next session is due. It is kept while a session runs and in quiet times."""
        self._timer: asyncio.TimerHandle | None = None
        self._ticket: Ticket | None = None
        # the running session
        self.session: asyncio.Task[None] | None = None
        self._control: SessionControl | None = None
        # what is shown
        self._started_at = services.clock.now()
        self._awaiting_first = True
        self._listener: PushListener | None = None
        """Made with the first session that wants push."""

    @property
    def name(self) -> str:
        return self._version.collector.name

    @property
    def wanted(self) -> CollectorVersion | None:
        """The version that it runs, or will when its session is over; None when it is to end."""
        return None if self._stopping else self._next_version or self._version

    @property
    def busy(self) -> bool:
        """Whether a session runs."""
        return self._state is LoopState.RUNNING

    @property
    def retry(self) -> Retry | None:
        """The back-off in force; one of an older spec is not."""
        if self._retry is None or self._retry.digest != self._version.collector.effective_digest:
            return None
        return self._retry

    def snapshot(self) -> LoopSnapshot:
        """Return what can be seen of it now."""
        admission, at = self._services.admission, self._clock.at
        due = None if self._due is None or self.busy else at(self._due)
        host = admission.host_health(self._target).outage
        if due is not None and host is not None:
            due = max(due, at(host.next_attempt))
        destination = admission.destination_health(self._target).outage
        if due is not None and destination is not None and self._waits_for_destination:
            due = at(destination.next_attempt)
        return LoopSnapshot(
            self._version.generation,
            self._started_at,
            due,
            self._state,
            self._awaiting_first,
            self.retry,
            host,
            destination,
        )

    # -- what is wanted

    def start(self, delay: float) -> None:
        """Begin with a session after `delay` seconds, or when a back-off that was kept for this
        spec ends."""
        self._schedule(self._first_due(delay))

    def replace(self, version: CollectorVersion, delay: float = 0.0) -> None:
        """Run this version instead, after the message in hand. This also takes back a `stop`."""
        self._stopping = False
        self._next_version = version
        if self._control is None:
            self._adopt(version, delay)
        else:
            self._control.stop()
            self._services.observer.changed(self.name)

    def update(self, version: CollectorVersion) -> None:
        """Take over labels, annotations and the manifest's place: nothing that a session depends
        on."""
        wanted = self._next_version or self._version
        if wanted.collector is version.collector and wanted.generation == version.generation:
            return
        if self._next_version is None:
            self._version = replace(version, fresh=self._version.fresh)
        else:
            self._next_version = replace(version, fresh=self._next_version.fresh)

    def stop(self) -> None:
        """End, after the message in hand."""
        self._stopping = True
        self._next_version = None
        self._cancel_next()
        if self._control is None:
            self._end()
        else:
            self._control.stop()

    def give_up(self) -> None:
        """End the session without waiting for the message in hand."""
        if self._control is not None:
            self._control.give_up()

    def secret_changed(self) -> None:
        """Start the next session now: what the back-off was for has changed."""
        now = self._clock.monotonic()
        if not self.busy and not self._stopping and self._due is not None and self._due > now:
            self._schedule(now)

    def collect_now(self, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """Return the report of the running session, or of one that starts now.

        Raises SessionRefused while the server asks for a pause, and unless `force` while a refused
        login is not to be repeated.
        """
        if not self.busy:
            self.check_allowed(force=force)
        asked: asyncio.Future[SessionReport] = asyncio.get_running_loop().create_future()
        self._requests.append(asked)
        if self._state in {LoopState.WAITING, LoopState.QUEUED}:
            self._cancel_next()
            self._queue(urgent=True)
        return asked

    def check_allowed(self, *, force: bool) -> None:
        """Raise SessionRefused where a session must not start, as `collect_now` does."""
        retry = self.retry
        if retry is None or is_secret_changed(retry, self._version.collector, self._services.stamp):
            return
        if forbids(retry, self._retry_in() or 0.0, force=force):
            at = self._clock.at(self._retry_until)
            raise SessionRefused(
                retry.reason, f"{self.name}: next attempt at {timestamp(at)}: {retry.message}", at
            )

    @asynccontextmanager
    async def quiet(self, *, ending: bool = True) -> AsyncIterator[None]:
        """Let no session begin inside of this context; one that is due waits. With `ending` the
        running session ends first, after its message."""
        self._quiet_times += 1
        self._cancel_next()
        if self._state in {LoopState.WAITING, LoopState.QUEUED}:
            self._enter(LoopState.QUIET)
        try:
            while ending and self.session is not None and self._control is not None:
                self._control.stop()
                await asyncio.wait({self.session})
            yield
        finally:
            self._quiet_times -= 1
            if not self._quiet_times and self._state is LoopState.QUIET:
                self._resume()

    def back_off(self, collector: DesiredCollector, retry: Retry | None) -> None:
        """Take over the back-off that a check of this spec has found."""
        if (
            self.busy
            or self._stopping
            or self._version.collector.effective_digest != collector.effective_digest
        ):
            return
        before, self._retry, self._retry_until = self.retry, retry, self._end_of(retry)
        if self._due is not None and retry != before:
            now = self._clock.monotonic()
            self._schedule(now if retry is None else max(self._due, self._retry_until))

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
        admission = self._services.admission
        ticket = admission.request(self._target, self._begin, refuse=refuse, urgent=urgent)
        if self._state is LoopState.QUEUED:
            self._ticket = ticket
            if admission.host_health(self._target).away:
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
        self._reset_push()
        self._version, self._next_version = version, None
        self._target = self._join(version)
        self._started_at = self._clock.now()
        self._awaiting_first = True
        self.start(delay)

    def _end(self) -> None:
        self._reset_push()
        self._services.admission.leave(self.name)
        self._due = None
        if self._state is not LoopState.ENDED:
            self._enter(LoopState.ENDED)
        now = self._clock.now()
        self._answer(SessionReport(now, now, Outcome.INTERRUPTED))
        self._services.observer.ended(self.name)

    # -- the session

    def _start_session(self, ticket: Ticket) -> None:
        loop, admission = asyncio.get_running_loop(), self._services.admission
        relay = Relay(loop, self._progressed)
        self._control = SessionControl(
            relay.tell,
            ignores_pauses=bool(self._requests),
            repeats_unanswered=bool(self._requests),
            login=lambda: relay.call(lambda: admission.another_login(ticket)),
            entered=lambda: relay.call(lambda: admission.entered(ticket)),
        )
        ticket.control = self._control
        self._services.observer.changed(self.name)
        self.session = loop.create_task(
            self._run(ticket, self._control), name=f"session of {self.name}"
        )

    async def _run(self, ticket: Ticket, control: SessionControl) -> None:
        """Run the session's task. Whatever happens, its admission is given back and the next
        session is due."""
        with self._services.defects.contained(
            self.name, "a session", lambda: self._abandon(ticket)
        ):
            await self._collect(ticket, control)

    async def _collect(self, ticket: Ticket, control: SessionControl) -> None:
        version, started = self._version, self._clock.monotonic()
        open_push = self._push_to_open(ticket)
        result = await self._services.sessions.run(
            SessionRequest(
                version.collector,
                self._retry,
                version.fresh,
                control,
                self._verdict_on_refusals(),
                open_push,
            )
        )
        self._keep_push(result, asked=open_push is not None)
        self._learn(result)
        self._leave_session(ticket, result.report, reached=not control.failed_elsewhere)
        self._proceed(started)

    def _learn(self, result: SessionResult) -> None:
        error = result.report.error
        if error is not None and error.reason == INTERNAL_ERROR:
            self._services.defects.count += 1
        self._not_greeted_at = self._clock.monotonic() if error and error.of_address else None
        self._retry, self._retry_until = result.retry, self._end_of(result.retry)
        self._awaiting_first = False

    def _leave_session(self, ticket: Ticket, report: SessionReport, *, reached: bool) -> None:
        """Give the admission back, and tell how the session went. `reached`: it came as far as the
        server."""
        self.session = self._control = None
        admission = self._services.admission
        admission.learn(ticket, report, reached=reached, name=self.name)
        admission.release(ticket)
        self._services.observer.finished(self.name, report)
        self._answer(report)

    def _proceed(self, started: float) -> None:
        """Decide what follows the session that began at `started`."""
        call_for_mail = self._listener.session_over() if self._listener else None
        if self._stopping:
            self._end()
        elif self._next_version is not None:
            self._adopt(self._next_version, 0.0)
        else:
            self._version = replace(self._version, fresh=False)
            self._schedule(self._next_due(started))
            if call_for_mail is not None:
                self._call_session(call_for_mail)

    def _abandon(self, ticket: Ticket) -> None:
        """Go on after a session that a defect of this program ended: the next one comes after the
        interval."""
        now = self._clock.now()
        self.session = self._control = None
        if self._listener is not None:
            self._listener.session_over()
        if ticket.held:
            self._services.admission.release(ticket)
        failure = Failure(
            INTERNAL_ERROR, "a defect of mailcollector, please report it with the log"
        )
        self._answer(SessionReport(now, now, Outcome.FAILED, error=failure))
        if self._stopping:
            self._end()
        elif self._next_version is not None:
            self._adopt(self._next_version, 0.0)
        else:
            self._schedule(self._clock.monotonic() + self._interval)

    def _answer(self, report: SessionReport) -> None:
        """Give the report to those who asked for a session."""
        requests, self._requests = self._requests, []
        for request in requests:
            if not request.done():
                request.set_result(report)

    def _progressed(self, report: SessionReport) -> None:
        self._services.observer.progressed(self.name, report)

    # -- when the next session is due

    @property
    def _interval(self) -> float:
        return seconds(self._version.collector.effective.collect.interval)

    def _first_due(self, delay: float) -> float:
        """Return when the first session of this version is due. What is known of its host and
        destination from before this process is told to the admission."""
        now, retry, admission = self._clock.monotonic(), self.retry, self._services.admission
        if retry is not None and retry.reason in HOST_REASONS and self._retry_in():
            health = admission.host_health(self._target)
            health.recall(Failure(retry.reason, retry.message), now)
            return now + delay
        if retry is not None and retry.reason == DestinationUnavailable.reason:
            failure = Failure(retry.reason, retry.message)
            admission.recall_destination(self.name, self._target, failure)
            if self._waits_for_destination:
                return now + DESTINATION_PATIENCE
            return now + max(delay, self._retry_in() or 0.0)
        return max(now + delay, next_start(now, 0.0, now, self._retry_in()))

    def _next_due(self, started: float) -> float:
        """Return when the session after the one that began at `started` is due."""
        now = self._clock.monotonic()
        if self._waits_for_destination:
            return now + DESTINATION_PATIENCE
        if self._waits_for_host:
            return now
        return next_start(started, self._interval, now, self._retry_in())

    def _retry_in(self) -> float | None:
        """Return the seconds until the back-off in force ends; None where there is none."""
        if self.retry is None:
            return None
        return max(0.0, self._retry_until - self._clock.monotonic())

    def _end_of(self, retry: Retry | None) -> float:
        """Return when this back-off ends, by the monotonic clock."""
        now = self._clock.monotonic()
        if retry is None:
            return now
        return now + remaining(retry, self._interval, self._clock.now())

    # -- its host and its destination

    def _join(self, version: CollectorVersion) -> SessionTarget:
        target = target_of(version.collector)
        self._services.admission.join(self.name, target, self._interval, self._is_back)
        return target

    def _is_back(self) -> None:
        """Go on at once: the host, or the destination, that the back-off is for is there again."""
        retry = self.retry
        with self._services.defects.contained(self.name, "being told that its host is there again"):
            if (
                retry is not None
                and self._is_shared(retry)
                and not self._stopping
                and self._state in {LoopState.WAITING, LoopState.QUIET}
            ):
                self._schedule(self._clock.monotonic())

    def _host_is_away(self, failure: Failure) -> None:
        """Tell those who asked for a session that the host is away; the loop goes on waiting for
        it."""
        self._ticket = None
        now = self._clock.now()
        told = Failure(
            failure.reason,
            f"not tried, as the host has just refused another collector: {failure.message}",
        )
        with self._services.defects.contained(self.name, "being told that its host is away"):
            self._answer(SessionReport(now, now, Outcome.FAILED, error=told))
            self._resume()

    @property
    def _waits_for_host(self) -> bool:
        """Whether its host is away: then the back-off is the host's, and admission waits for
        it."""
        return (
            self._retry is not None
            and self._is_shared(self._retry)
            and self._services.admission.host_health(self._target).away
        )

    @property
    def _waits_for_destination(self) -> bool:
        """Whether admission tells it when its turn comes to try, or the destination is there
        again."""
        return self._services.admission.waits_for_destination(self.name, self._target)

    def _is_shared(self, retry: Retry) -> bool:
        """Whether the back-off is for something that all collectors of its host, or of its
        destination, have in common."""
        return retry.reason in SHARED_REASONS or (
            retry.reason == Throttled.reason and self._not_greeted_at is not None
        )

    def _verdict_on_refusals(self) -> Callable[[SessionReport], SessionReport]:
        """Return how the session's report is to be read: a collector that is not greeted twice
        while others are let in has too many connections."""
        health = self._services.admission.host_health(self._target)
        before = self._not_greeted_at

        def judge(report: SessionReport) -> SessionReport:
            error = report.error
            if (
                error is None
                or not error.of_address
                or error.reason == Throttled.reason
                or (before is None or health.entered_at < before)
            ):
                return report
            message = f"{error.message}, and lets others in: too many connections, probably"
            return replace(report, error=replace(error, reason=Throttled.reason, message=message))

        return judge

    # -- push

    def _push_to_open(self, ticket: Ticket) -> PushFactory | None:
        """Return how the session is to open the push connection; None where it is not to."""
        collector, open_push = self._version.collector, self._services.open_push
        if open_push is None or not collector.effective.collect.push:
            return None
        if self._listener is None:
            self._listener = PushListener(self.name, self._call_session)
        if not self._listener.session_begins():
            return None
        self._services.admission.another_login(ticket)
        return lambda: open_push(collector)

    def _keep_push(self, result: SessionResult, *, asked: bool) -> None:
        """Hand over the connection that the session has opened; not where the server would rather
        have fewer connections."""
        listener, error = self._listener, result.report.error
        if listener is None:
            return
        if asked:
            listener.session_opened(result.push)
        if error is not None and error.reason in {Throttled.reason, AuthenticationFailed.reason}:
            listener.yield_connection()

    def _call_session(self, due: float) -> None:
        """Begin the next session by `due`, unless a back-off stands against it.

        It queues behind those that are due: a host with much mail must not keep the other
        collectors there from their intervals.
        """
        if (
            self._due is None
            or due >= self._due
            or self._stopping
            or self._state not in {LoopState.WAITING, LoopState.QUIET}
            or self._retry_in() is not None
        ):
            return
        if due > self._clock.monotonic():
            self._schedule(due)
        elif self._state is LoopState.WAITING:
            self._cancel_next()
            self._queue()

    def _reset_push(self) -> None:
        if self._listener is not None:
            self._listener.reset()
