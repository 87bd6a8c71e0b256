"""Admission of sessions, within three limits: sessions in all, sessions with one host, and logins a
minute there (hazards R1, R4). Sessions also wait while their host or destination is away
(`control.host_health`, `control.destination_queues`).

A session that waits here is an entry in a queue: it holds no thread and no connection. Hosts take
turns (`control.host_turns`). A quarter of all sessions is reserved for hosts whose last sessions
succeeded, a few for each. So slow or silent hosts cannot occupy all sessions. Half of that quarter
also serves hosts that nobody has tried yet, one session each. Hosts that are away have a quarter at
most. One destination takes at most three quarters, of all sessions and of each host's, and one
session at a time while it takes no mail. Where there is one host only, nothing is kept. When
somebody waits all the same whose host is blameless, sessions make room (`control.preemption`).

One file: every limit is checked for each ticket, at each change of another one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from msgspec import Struct

from reconciler.control.destination_queues import DestinationQueues, pace
from reconciler.control.host_health import (
    HostHealth,
    SessionTarget,
    failed_before_login,
    was_answered,
)
from reconciler.control.host_limits import LimitsOf
from reconciler.control.host_queues import (
    Admit,
    HostQueues,
    PortQueue,
    Ticket,
)
from reconciler.control.host_turns import HostTurns
from reconciler.control.preemption import Preemption
from reconciler.model.errors import ConnectionFailed
from reconciler.model.outcomes import Failure, Outcome, SessionReport

_FEWER_FOR = 600.0
"""Seconds for which a host that turned a session away while others were in gets no more sessions
than those."""


def not_tried(failure: Failure) -> Failure:
    """Return why a session was not tried where another one of its host has just failed so."""
    message = f"not tried, as the host has just refused another collector: {failure.message}"
    return Failure(failure.reason, message)


class NotAdmitted(ConnectionFailed):
    """A session was not tried: others of its host were not let in a moment ago."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(not_tried(failure).message)
        self.reason = failure.reason


@asynccontextmanager
async def admitted(
    admission: Admission, target: SessionTarget, *, urgent: bool = False
) -> AsyncIterator[Ticket]:
    """Wait for admission; inside of this context the session may run. Raises NotAdmitted."""
    settled: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def settle(found: Failure | None) -> None:
        if not settled.done():
            settled.set_result(found)

    ticket = admission.request(target, lambda _: settle(None), refuse=settle, urgent=urgent)
    try:
        failure = await settled
    except asyncio.CancelledError:
        if settled.done() and not settled.cancelled() and settled.result() is None:
            admission.release(ticket)
        else:
            admission.cancel(ticket)
        raise
    if failure is not None:
        raise NotAdmitted(failure)
    try:
        yield ticket
    finally:
        admission.release(ticket)


class AdmissionCounts(Struct, frozen=True):
    """How many sessions may run at once, run, and are due and wait. `host_away` of those that wait
    do so for a host that is away."""

    limit: int
    running: int
    queued: int
    host_away: int


class Admission:
    """Admits at most `sessions` at once, and what `limits_of` says with each host."""

    def __init__(self, sessions: int, limits_of: LimitsOf) -> None:
        self._most = sessions
        self.on_begun: Callable[[float], None] = lambda _: None
        """Called with the seconds that a session had to wait."""
        self._running = 0
        self._probing = 0
        """The number of sessions that try a host that is away."""
        self._turns = HostTurns(limits_of, self._admit)
        self._preemption = Preemption(
            self._turns, self._admit, self._tell, self._has_room_at_destination
        )
        self._destinations = DestinationQueues(self._tell, self._tell_moved)
        self._members: dict[str, tuple[SessionTarget, Callable[[], None]]] = {}
        self._changed: Callable[[str], None] = lambda _: None
        self._moved: Callable[[Collection[str]], None] = lambda _: None

    # -- who has mail where

    def on_changed(
        self, changed: Callable[[str], None], moved: Callable[[Collection[str]], None]
    ) -> None:
        """Set the callbacks. `changed`: a collector's host is away, or back. `moved`: the host of
        these collectors, which is away, is tried at another time."""
        self._changed, self._moved = changed, moved

    def join(
        self,
        name: str,
        target: SessionTarget,
        interval: float,
        back: Callable[[], None] = lambda: None,
    ) -> None:
        """Register a collector with its host and destination. `back` is called when the host or
        destination that it waited for is available again."""
        self.leave(name)
        self._members[name] = target, back
        self.host_health(target).members[name] = interval
        self._turns.host(target.host).destinations[target.destination] += 1
        self._destinations.join(name, target, interval, back)

    def leave(self, name: str) -> None:
        """Remove a collector that has ended."""
        if name not in self._members:
            return
        target, _ = self._members.pop(name)
        host = self._turns.host(target.host)
        del host.queue(target.port).health.members[name]
        host.destinations -= Counter([target.destination])
        self._turns.forget_unused(host)
        self._destinations.leave(name, target)

    def host_health(self, target: SessionTarget) -> HostHealth:
        return self._turns.host(target.host).queue(target.port).health

    def destination_health(self, target: SessionTarget) -> HostHealth:
        """Return the state of the destination. Only mail systems can be away."""
        return self._destinations.of(target).health

    def waits_for_destination(self, name: str, target: SessionTarget) -> bool:
        """Return whether this collector has mail for a destination that is away. If so, it is
        called when it may try, or when the destination is available again."""
        return self._destinations.waits(name, target)

    def recall_destination(self, name: str, target: SessionTarget, failure: Failure) -> None:
        """Note that the destination was away for this collector when the last process ended."""
        self._destinations.recall(name, target, failure)

    def counts(self) -> AdmissionCounts:
        """Return how many sessions run and wait now."""
        queues = [queue for host in self._turns for queue in host.queues.values()]
        away = sum(sum(1 for _ in queue.waiting()) for queue in queues if queue.health.away)
        ready = sum(sum(1 for _ in queue.waiting()) for queue in queues if not queue.health.away)
        return AdmissionCounts(self._most, self._running, away + ready, away)

    def pause(self) -> None:
        """Admit only what somebody asks for. Sessions that run end after the message in hand."""
        self._turns.paused = True
        for host in self._turns:
            self._turns.schedule(host)
        for ticket in self._preemption.under_way:
            if ticket.control is not None and not ticket.urgent:
                ticket.control.stop()

    def resume(self) -> None:
        """Admit again what waited meanwhile, at the pace of each host."""
        self._turns.paused = False
        for host in self._turns:
            for queue in host.queues.values():
                queue.restart_waiting(_now())
            self._turns.schedule(host)
        self._admit()

    # -- a session's way

    def request(
        self,
        target: SessionTarget,
        admit: Admit,
        *,
        refuse: Callable[[Failure], None] | None = None,
        urgent: bool = False,
    ) -> Ticket:
        """Call `admit` as soon as there is room, at once if there is; the ticket must be `release`d
        when the session is over.

        `urgent`: before the others of this host, and also where the host is away. `refuse` is
        called instead of `admit` when the host turns out to be away.
        """
        ticket = Ticket(target, admit, refuse, urgent=urgent)
        host = self._turns.host(target.host)
        host.queue(target.port).add(ticket)
        self._turns.schedule(host)
        self._admit()
        return ticket

    @staticmethod
    def cancel(ticket: Ticket) -> None:
        """Give up the place in the queue."""
        ticket.cancelled = True

    def entered(self, ticket: Ticket) -> None:
        """Note that the server has let this session in."""
        if ticket.entered or not ticket.held:
            return
        ticket.entered = True
        host = self._turns.host_of(ticket)
        queue = host.queue(ticket.target.port)
        queue.leave(ticket)
        self._enter(host, queue)
        self._admit()

    def another_login(self, ticket: Ticket) -> None:
        """Note that a session logs in once more: the next one of this host waits for that, too."""
        if not ticket.held:
            return  # told from its thread, when it was over
        host = self._turns.host_of(ticket)
        host.next_login += host.limits.spacing
        self._turns.schedule(host)

    def learn(
        self, ticket: Ticket, report: SessionReport, *, reached: bool = True, name: str = ""
    ) -> None:
        """Learn from a session that is about to be released. `reached`: the session reached the
        server. `name` is the collector's, if it has joined."""
        if report.outcome is Outcome.INTERRUPTED:
            return
        if reached:
            self._learn_of_host(ticket, report)
        self._destinations.learn_of_mail_system(name, ticket, report)

    def release(self, ticket: Ticket) -> None:
        """Note that a session that was admitted is over."""
        ticket.held = False
        host = self._turns.host_of(ticket)
        host.queue(ticket.target.port).leave(ticket)
        self._preemption.under_way.pop(ticket, None)
        self._running -= 1
        if ticket.probes:
            self._probing -= 1
            self._turns.release_held_back()
        host.busy -= 1
        host.busy_with -= Counter([ticket.target.destination])
        self._destinations.session_over(ticket.target)
        self._turns.schedule(host)
        self._admit()

    # -- learning

    def _learn_of_host(self, ticket: Ticket, report: SessionReport) -> None:
        host = self._turns.host_of(ticket)
        queue = host.queue(ticket.target.port)
        failure = report.error
        queue.health.judge(_now() - ticket.began, well=failure is None)
        self._destinations.learn(ticket.target, report)
        if ticket.entered:
            return  # that was told when it happened
        if was_answered(failure):
            self._enter(host, queue)
        elif failure is not None and failed_before_login(failure):
            self._fail(host, queue, ticket, failure)

    def _fail(self, host: HostQueues, queue: PortQueue, ticket: Ticket, failure: Failure) -> None:
        """Note that this session was not let in."""
        health, now = queue.health, _now()
        if failure.of_address and health.entered_at >= ticket.began:
            host.fewer, host.fewer_until = max(1, host.busy - 1), now + _FEWER_FOR
        if health.fail(failure, ticket.began, now):
            self._tell(health)
        elif health.away:
            self._moved(health.members.keys())
        if health.away:
            for impatient in queue.take_impatient():
                assert impatient.refuse is not None  # noqa: S101  # what they were chosen by
                impatient.refuse(failure)

    def _enter(self, host: HostQueues, queue: PortQueue) -> None:
        """Note that this host lets sessions in; those that waited follow at a certain pace."""
        if queue.health.enter(_now()):
            queue.restart_waiting(_now())
            host.fewer_until = 0.0
            queue.pace = pace(len(queue.health.members))
            queue.paced_until = _now()
            self._tell(queue.health)
            for name in list(queue.health.members):
                self._members[name][1]()
        self._turns.schedule(host)

    def _tell(self, health: HostHealth) -> None:
        for name in health.members:
            self._changed(name)

    def _tell_moved(self, names: Collection[str]) -> None:
        self._moved(names)

    # -- admitting

    def _admit(self) -> None:
        """Begin all sessions that may begin now."""
        passed_over: list[HostQueues] = []
        while self._turns.in_turn and self._running < self._most:
            host = self._turns.take()
            ticket = self._next(host)
            if ticket is not None:
                self._begin(host, ticket)
            elif self._probing >= self._kept and host.all_away:
                self._turns.hold_back(host)
            else:
                passed_over.append(host)
        self._turns.put_back(passed_over)  # it is still their turn
        self._preemption.make_room()

    @property
    def _kept(self) -> int:
        """Sessions that are kept for hosts that fare well."""
        if self._most < 2 or (len(self._turns) < 2 and len(self._destinations) < 2):
            return 0
        return max(1, self._most // 4)

    def _next(self, host: HostQueues) -> Ticket | None:
        """Return the ticket of this host that may begin now."""
        now = _now()
        for queue in list(host.queues.values()):
            for ticket in queue.heads():
                if self._turns.paused and not ticket.urgent:
                    continue
                if queue.wait(ticket, now) <= 0 and self._has_room(host, queue.health, ticket):
                    return ticket
        return None

    def _has_room(self, host: HostQueues, health: HostHealth, ticket: Ticket) -> bool:
        """Return whether there is room for this session, beside what is kept for others."""
        kept = self._kept
        if not self._has_room_at_destination(host, ticket):
            return False
        if health.away and kept and self._probing >= kept:
            return False
        spare = self._most - self._running
        return (
            spare > kept
            or (health.is_healthy and host.busy < max(1, kept // 2))
            or (spare > kept // 2 and health.is_untried and not host.busy)
        )

    def _has_room_at_destination(self, host: HostQueues, ticket: Ticket) -> bool:
        """Return whether its destination may have one more session of this host."""
        destination = self._destinations.of(ticket.target)
        if destination.fails and destination.busy >= destination.bears:
            return False
        if len(self._destinations) > 1 and destination.busy >= max(1, self._most - self._kept):
            return False
        return host.has_room_for(ticket.target.destination)

    def _begin(self, host: HostQueues, ticket: Ticket) -> None:
        now, queue = _now(), host.queue(ticket.target.port)
        queue.take(ticket)
        ticket.began, ticket.probes, ticket.held = now, queue.health.away, True
        queue.not_let_in.append(ticket)
        self._preemption.under_way[ticket] = host
        self._running += 1
        self._probing += ticket.probes
        host.busy += 1
        host.busy_with[ticket.target.destination] += 1
        if not ticket.probes:
            self.on_begun(now - ticket.asked)
        self._destinations.session_begins(ticket.target)
        if host.limits.logins:
            host.next_login = max(now, host.next_login) + host.limits.spacing
        else:
            host.next_login = 0.0
        if ticket.probes:
            queue.health.postpone(now)
            self._moved(queue.health.members.keys())
        if queue.pace:
            queue.paced_until = max(now, queue.paced_until) + queue.pace
            queue.pace = queue.pace if len(queue) else 0.0
        host.queues[ticket.target.port] = host.queues.pop(ticket.target.port)  # ports take turns
        self._turns.schedule(host)
        ticket.admit(ticket)


def _now() -> float:
    return asyncio.get_running_loop().time()
