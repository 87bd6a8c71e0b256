"""A running collector: a timer, and at most one session at a time. While it waits it costs no
thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.backoff import forbids, remaining
from reconciler.collect.cadence import next_start
from reconciler.control.admission import Admission, Ticket
from reconciler.control.contained_defects import INTERNAL_ERROR, ContainedDefects
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import NOT_THERE, WAITING, SessionTarget, target_of
from reconciler.control.loop_state import CollectorVersion, LoopObserver, LoopSnapshot
from reconciler.control.push_listener import PushListener
from reconciler.control.session_pool import (
    Relay,
    RunsSessions,
    SecretStamp,
    SessionControl,
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

PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds between the beginnings of two sessions that mail calls for: the first, twice that for
each one more, as long as mail keeps coming, and the last."""
UNTIL_TOLD = 3600.0
"""Seconds after which a collector that waits for its destination tries whatever it was told."""
OpenPush = Callable[[DesiredCollector], Push]
"""Reads the secret; connects when it is told to begin. Raises CollectorError."""


class SessionRefused(CollectorError):
    """A session was asked for that must not start now. `next_attempt`: when it may."""

    def __init__(self, reason: str, message: str, next_attempt: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.next_attempt = next_attempt


class LoopServices(Struct, frozen=True):
    """What all loops share."""

    sessions: RunsSessions
    admission: Admission
    clock: Clock
    observer: LoopObserver
    stamp: SecretStamp = unstamped
    open_push: OpenPush | None = None
    """None: nobody is told of new mail, whatever the manifests say."""
    defects: ContainedDefects = field(default_factory=ContainedDefects)


class Loop:
    """Level-triggered: `replace` and `stop` say what is wanted, and it gets there when its session
    is over."""

    def __init__(
        self, version: CollectorVersion, retry: Retry | None, around: LoopServices
    ) -> None:
        self._around = around
        self._version = version
        self._next: CollectorVersion | None = None
        self._retry = retry
        self._retry_until = self._kept_until(retry)
        """By the monotonic clock; the wall clock may jump."""
        self._place = self._join(version)
        self._started_at = around.clock.now()
        self._awaiting_first = True
        self._stopping = False
        self._quiet = 0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticket: Ticket | None = None
        self._control: SessionControl | None = None
        self.session: asyncio.Task[None] | None = None
        """The running one."""
        self._asked: list[asyncio.Future[SessionReport]] = []
        self._begun_at = float("-inf")
        self._pause = PAUSE
        self._rung = False
        """It rang during the session, which may have listed before."""
        self._bell: PushListener | None = None
        self._turned_away_at: float | None = None
        """The last session was not even greeted."""

    @property
    def name(self) -> str:
        return self._version.collector.name

    @property
    def wanted(self) -> CollectorVersion | None:
        """What it runs, or will when its session is over; None when it is to end."""
        return None if self._stopping else self._next or self._version

    @property
    def busy(self) -> bool:
        return self.session is not None

    @property
    def retry(self) -> Retry | None:
        """The back-off in force; one of an older spec is not."""
        if self._retry is None or self._retry.digest != self._version.collector.effective_digest:
            return None
        return self._retry

    def state(self) -> LoopSnapshot:
        due = None if self._due is None or self.busy else self._around.clock.at(self._due)
        cause = self._around.admission.door(self._place).cause
        if due is not None and cause is not None:
            due = max(due, self._around.clock.at(cause.next_attempt))
        destination = self._around.admission.destination_door(self._place).cause
        if due is not None and destination is not None and self._waits_for_destination:
            due = self._around.clock.at(destination.next_attempt)
        return LoopSnapshot(
            self._version.generation,
            self._started_at,
            due,
            self.busy,
            self._awaiting_first,
            self.retry,
            cause,
            destination,
        )

    # -- what is wanted

    def start(self, delay: float) -> None:
        """The first session after `delay` seconds, or when a back-off that was kept for this spec
        ends."""
        now, retry = self._around.clock.monotonic(), self.retry
        if retry is not None and retry.reason in NOT_THERE and self._retry_in():
            self._around.admission.door(self._place).recall(
                Failure(retry.reason, retry.message), now
            )
            self._schedule(now + delay)
        elif retry is not None and retry.reason == DestinationUnavailable.reason:
            failure = Failure(retry.reason, retry.message)
            self._around.admission.recall_destination(self.name, self._place, failure)
            self._schedule(
                now
                + (
                    UNTIL_TOLD
                    if self._waits_for_destination
                    else max(delay, self._retry_in() or 0.0)
                )
            )
        else:
            self._schedule(max(now + delay, next_start(now, 0.0, now, self._retry_in())))

    def replace(self, version: CollectorVersion, delay: float = 0.0) -> None:
        """Run this version instead, after the message in hand; also takes back a `stop`."""
        self._stopping = False
        self._next = version
        if self._control is None:
            self._adopt(version, delay)
        else:
            self._control.stop()
            self._around.observer.changed(self.name)

    def update(self, version: CollectorVersion) -> None:
        """Labels, annotations or the manifest's place changed, if anything: nothing that a session
        depends on."""
        wanted = self._next or self._version
        if wanted.collector is version.collector and wanted.generation == version.generation:
            return
        if self._next is None:
            self._version = replace(version, fresh=self._version.fresh)
        else:
            self._next = replace(version, fresh=self._next.fresh)

    def stop(self) -> None:
        """End, after the message in hand."""
        self._stopping = True
        self._next = None
        self._unschedule()
        if self._control is None:
            self._end()
        else:
            self._control.stop()

    def secret_changed(self) -> None:
        """What the back-off was for has changed: the next session need not wait for its end."""
        now = self._around.clock.monotonic()
        if not self.busy and not self._stopping and self._due is not None and self._due > now:
            self._schedule(now)

    def give_up(self) -> None:
        """Do not wait for the message in hand."""
        if self._control is not None:
            self._control.give_up()

    def collect_now(self, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """The report of the running session, or of one that starts now. Raises SessionRefused while
        the server asks for a pause, and unless `force` while a refused login is not to be repeated.
        """
        if not self.busy:
            self.refuse(force=force)
        asked: asyncio.Future[SessionReport] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        if not self.busy and not self._quiet:
            self._unschedule()
            self._request(urgent=True)
        return asked

    @asynccontextmanager
    async def quiet(self, *, ending: bool = True) -> AsyncIterator[None]:
        """No session begins inside of this, a due one waits; the running one ends after its
        message, unless that is not asked for (`ending`)."""
        self._quiet += 1
        self._unschedule()
        try:
            while ending and self.session is not None and self._control is not None:
                self._control.stop()
                await asyncio.wait({self.session})
            yield
        finally:
            self._quiet -= 1
            self._resume()

    def back_off(self, collector: DesiredCollector, retry: Retry | None) -> None:
        """A check of this spec has found that this is the back-off in force now."""
        if (
            self.busy
            or self._stopping
            or self._version.collector.effective_digest != collector.effective_digest
        ):
            return
        before, self._retry, self._retry_until = self.retry, retry, self._kept_until(retry)
        now = self._around.clock.monotonic()
        if self._due is not None and retry != before:
            self._schedule(now if retry is None else max(self._due, self._retry_until))

    def refuse(self, *, force: bool) -> None:
        """Raises SessionRefused as `collect_now` does."""
        retry = self.retry
        seconds_left = self._retry_in() or 0.0
        if (
            retry is not None
            and not self._is_lifted(retry)
            and forbids(retry, seconds_left, force=force)
        ):
            at = self._around.clock.at(self._retry_until)
            raise SessionRefused(
                retry.reason, f"{self.name}: next attempt at {timestamp(at)}: {retry.message}", at
            )

    # -- how it gets there

    def _is_lifted(self, retry: Retry) -> bool:
        return is_secret_changed(retry, self._version.collector, self._around.stamp)

    def _retry_in(self) -> float | None:
        """Seconds until the back-off in force ends."""
        return (
            None
            if self.retry is None
            else max(0.0, self._retry_until - self._around.clock.monotonic())
        )

    def _kept_until(self, retry: Retry | None) -> float:
        now = self._around.clock.monotonic()
        return (
            now
            if retry is None
            else now + remaining(retry, self._interval, self._around.clock.now())
        )

    @property
    def _interval(self) -> float:
        return seconds(self._version.collector.effective.collect.interval)

    def _join(self, version: CollectorVersion) -> SessionTarget:
        place = target_of(version.collector)
        self._around.admission.join(self.name, place, self._interval, self._back)
        return place

    def _back(self) -> None:
        """Its host, or its destination, is there again: whoever failed for that goes on at once."""
        retry = self.retry
        with self._around.defects.contained(self.name, "being told that its host is there again"):
            if (
                retry is not None
                and self._ends_for_all(retry)
                and not (self.busy or self._stopping or self._ticket)
            ):
                self._schedule(self._around.clock.monotonic())

    def _schedule(self, due: float) -> None:
        self._unschedule()
        self._due = due
        if not self._quiet:
            self._timer = asyncio.get_running_loop().call_at(due, self._request)
        self._around.observer.changed(self.name)

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ticket is not None:
            self._around.admission.cancel(self._ticket)
            self._ticket = None

    def _resume(self) -> None:
        if self._quiet or self._stopping or self.busy:
            return
        if self._asked:
            self._request(urgent=True)
        elif self._due is not None:
            self._schedule(self._due)

    def _request(self, *, urgent: bool = False) -> None:
        self._timer = None
        refuse = self._turned_away if self._asked else None
        ticket = self._around.admission.request(
            self._place, self._begin, refuse=refuse, urgent=urgent
        )
        if not self.busy:
            self._ticket = ticket
            if self._around.admission.door(self._place).away:
                self._around.observer.changed(self.name)

    def _turned_away(self, failure: Failure) -> None:
        """Who asked for a session learns that its host is away; the loop goes on waiting for it."""
        self._ticket = None
        now = self._around.clock.now()
        with self._around.defects.contained(self.name, "being told that its host is away"):
            self._answer(
                SessionReport(
                    now,
                    now,
                    Outcome.FAILED,
                    error=Failure(
                        failure.reason,
                        f"not tried, for somebody was just not let in: {failure.message}",
                    ),
                )
            )
            self._resume()

    def _begin(self, ticket: Ticket) -> None:
        """Whoever admits it has others to admit: it is never told of a failure."""
        self._ticket = None
        with self._around.defects.contained(
            self.name, "beginning a session", lambda: self._abandon(ticket)
        ):
            self._start_session(ticket)

    def _start_session(self, ticket: Ticket) -> None:
        loop, admission = asyncio.get_running_loop(), self._around.admission
        relay = Relay(loop, self._progressed)
        self._control = SessionControl(
            relay.tell,
            insisting=bool(self._asked),
            repeating=bool(self._asked),
            login=lambda: relay.call(lambda: admission.another_login(ticket)),
            entered=lambda: relay.call(lambda: admission.entered(ticket)),
        )
        ticket.control = self._control
        self._around.observer.changed(self.name)
        self.session = loop.create_task(
            self._run(ticket, self._control), name=f"session of {self.name}"
        )

    async def _run(self, ticket: Ticket, control: SessionControl) -> None:
        """The session's task: it is over when the place in the queue is free and the next one is
        due, whatever happens."""
        with self._around.defects.contained(self.name, "a session", lambda: self._abandon(ticket)):
            await self._collect(ticket, control)

    def _abandon(self, ticket: Ticket) -> None:
        """The session ended by a defect of ours: the next one after the interval."""
        now, clock = self._around.clock.now(), self._around.clock
        self.session = self._control = None
        if ticket.held:
            self._around.admission.release(ticket)
        self._answer(
            SessionReport(
                now,
                now,
                Outcome.FAILED,
                error=Failure(
                    INTERNAL_ERROR, "a defect of mailcollector, please report it with the log"
                ),
            )
        )
        if self._stopping:
            self._end()
        elif self._next is not None:
            self._adopt(self._next, 0.0)
        else:
            self._schedule(clock.monotonic() + self._interval)

    async def _collect(self, ticket: Ticket, control: SessionControl) -> None:
        version, started = self._version, self._around.clock.monotonic()
        self._pause = (
            PAUSE
            if started - self._begun_at > 4 * self._pause
            else min(LONGEST_PAUSE, 2 * self._pause)
        )
        self._begun_at, self._rung = started, False
        open_push = self._push(ticket)
        finished = await self._around.sessions.run(
            SessionRequest(
                version.collector, self._retry, version.fresh, control, self._judged(), open_push
            )
        )
        self._listen(finished, asked=open_push is not None)
        error = finished.report.error
        if error is not None and error.reason == INTERNAL_ERROR:
            self._around.defects.count += 1
        self._turned_away_at = (
            self._around.clock.monotonic() if error and error.of_address else None
        )
        self._retry, self._retry_until = finished.retry, self._kept_until(finished.retry)
        self._awaiting_first = False
        self.session = self._control = None
        admission = self._around.admission
        admission.learn(
            ticket, finished.report, knocked=not control.failed_elsewhere, name=self.name
        )
        admission.release(ticket)
        self._around.observer.finished(self.name, finished.report)
        self._answer(finished.report)
        self._proceed(started)

    def _proceed(self, started: float) -> None:
        """After a session."""
        if self._stopping:
            self._end()
        elif self._next is not None:
            self._adopt(self._next, 0.0)
        else:
            self._version = replace(self._version, fresh=False)
            now = self._around.clock.monotonic()
            if self._waits_for_destination:
                self._schedule(now + UNTIL_TOLD)
            else:
                self._schedule(
                    now
                    if self._waits
                    else next_start(started, self._interval, now, self._retry_in())
                )
            if self._rung:
                self._hurry(self._begun_at + self._pause)

    @property
    def _waits(self) -> bool:
        """For its host, which is away: the back-off is the host's."""
        return (
            self._retry is not None
            and self._ends_for_all(self._retry)
            and (self._around.admission.door(self._place).away)
        )

    def _ends_for_all(self, retry: Retry) -> bool:
        """What keeps it from its mail is its host's affair, or its destination's."""
        return retry.reason in WAITING or (
            retry.reason == Throttled.reason and self._turned_away_at is not None
        )

    @property
    def _waits_for_destination(self) -> bool:
        """It is told when its turn comes to try, and when the destination is there again."""
        return self._around.admission.waits_for_destination(self.name, self._place)

    def _judged(self) -> Callable[[SessionReport], SessionReport]:
        door, before = self._around.admission.door(self._place), self._turned_away_at

        def judge(report: SessionReport) -> SessionReport:
            """Who is turned away again, while others got in, is one too many."""
            error = report.error
            if (
                error is None
                or not error.of_address
                or error.reason == Throttled.reason
                or (before is None or door.entered_at < before)
            ):
                return report
            message = f"{error.message}, and lets others in: too many connections, probably"
            return replace(report, error=replace(error, reason=Throttled.reason, message=message))

        return judge

    # -- push

    def _push(self, ticket: Ticket) -> PushFactory | None:
        """How the session is to open the push connection, where one is wanted and there is none."""
        collector, open_push = self._version.collector, self._around.open_push
        if open_push is None or not collector.effective.collect.push:
            return None
        if self._bell is None:
            self._bell = PushListener(self.name, self._rang, self._bell_lost)
        if not self._bell.due:
            return None
        self._around.admission.another_login(ticket)
        return lambda: open_push(collector)

    def _listen(self, finished: SessionResult, *, asked: bool) -> None:
        """Wait for mail on what the session has opened; not, where the server would have fewer
        connections."""
        bell, error = self._bell, finished.report.error
        if bell is None:
            return
        if finished.push is not None:
            bell.hang(finished.push)
        elif asked:
            bell.missed()
        if (
            error is not None
            and error.reason in {Throttled.reason, AuthenticationFailed.reason}
            and bell.hangs
        ):
            bell.take_down()
            bell.missed()

    def _rang(self) -> None:
        if self.busy:
            self._rung = True
        else:
            self._hurry(self._begun_at + self._pause)

    def _bell_lost(self) -> None:
        if self._bell is not None and not self.busy:
            self._hurry(self._bell.pause_until)

    def _hurry(self, due: float) -> None:
        """The next session by then, unless a back-off stands against it. It queues behind those
        that are due: a host with much mail must not keep the others there from their intervals."""
        if (
            self._due is None
            or due >= self._due
            or self._stopping
            or self._ticket
            or self._retry_in() is not None
        ):
            return
        if due > self._around.clock.monotonic():
            self._schedule(due)
        elif not self._quiet:
            self._unschedule()
            self._request()

    def _silence(self) -> None:
        if self._bell is not None:
            self._bell.take_down()
            self._bell = None

    def _adopt(self, version: CollectorVersion, delay: float) -> None:
        self._silence()
        self._version, self._next = version, None
        self._place = self._join(version)
        self._started_at = self._around.clock.now()
        self._awaiting_first = True
        self.start(delay)

    def _end(self) -> None:
        self._silence()
        self._around.admission.leave(self.name)
        self._due = None
        now = self._around.clock.now()
        self._answer(SessionReport(now, now, Outcome.INTERRUPTED))
        self._around.observer.ended(self.name)

    def _answer(self, report: SessionReport) -> None:
        asked, self._asked = self._asked, []
        for future in asked:
            if not future.done():
                future.set_result(report)

    def _progressed(self, report: SessionReport) -> None:
        self._around.observer.progressed(self.name, report)
