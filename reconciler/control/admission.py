"""Who may begin a session now: so many at once in all, so many with one host, and so many logins a
minute there (hazards R1, R4). And who must wait because a host, or a destination, is not there
(`control.host_health`).

A session that waits here is an entry in a queue: it holds no thread and no connection. A host whose
next session must wait has one timer, however many sessions wait for it.

Hosts take turns. A quarter of all sessions is kept for hosts whose last sessions went well, each
with a few, so that hosts that are slow or silent cannot take all; half of it also serves hosts that
nobody has tried yet, one session each. Those that are away have a quarter at most. One destination
takes at most three quarters, and one session at a time while it takes no mail. Where there is one
host only, nothing is kept.

When somebody waits all the same of whom nothing bad is known, those make room who were not let in
for 8 seconds, and those who have had a minute: they end after the message in hand, and 30 seconds
later whatever they are at.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

from reconciler.control.host_health import (
    EVERY,
    HostHealth,
    Outage,
    SessionTarget,
    answered,
    turned_away,
)
from reconciler.control.host_limits import HostLimits, LimitsOf
from reconciler.model.errors import ConnectionFailed, DestinationUnavailable
from reconciler.model.outcomes import Failure, Outcome, SessionReport

SPREAD, SPACED = 5.0, 0.1
"""Those who have waited for a host follow within so many seconds of the first one, or this far
apart."""
OUTSIDE, SLICE, LAST = 8.0, 60.0, 30.0
"""Seconds that a session may take while others wait: until it is let in, in all, and from being
told to end."""
DESTINATION = 15.0
"""Seconds between two attempts at a mail system that is away: it is mostly our own."""
_FEWER = 600.0
"""Seconds for which a host that turned somebody away while others were in gets no more connections
than that."""


class Ticket:
    """A place in the queue, and then of a session. `refuse`: what to call instead of `admit` where
    the host turns out to be away."""

    __slots__ = (
        "admit",
        "began",
        "cancelled",
        "control",
        "ending",
        "entered",
        "held",
        "place",
        "probes",
        "refuse",
        "urgent",
    )

    def __init__(
        self,
        place: SessionTarget,
        admit: Admit,
        refuse: Callable[[Failure], None] | None,
        *,
        urgent: bool,
    ) -> None:
        self.place = place
        self.admit = admit
        self.refuse = refuse
        self.urgent = urgent
        self.cancelled = self.entered = self.held = self.probes = False
        self.began = 0.0
        self.control: Breakable | None = None
        """By which the session can be ended; None: it is not."""
        self.ending: float | None = None
        """Since when it has been told to end."""

    @property
    def makes_room_at(self) -> float:
        """When it may be told to, or else."""
        if self.control is None or self.urgent or (self.probes and not self.entered):
            return float("inf")
        if self.ending is not None:
            return self.ending + LAST
        return self.began + (SLICE if self.entered else OUTSIDE)


class Breakable(Protocol):
    """A session that can be told to end."""

    def stop(self) -> None: ...
    def give_up(self) -> None: ...


Admit = Callable[[Ticket], None]


_SILENT = Failure(
    ConnectionFailed.reason, f"nobody was let in within {OUTSIDE:.0f} s, while others waited"
)


class _DestinationState:
    """`bears`: sessions at once, for as long as `fails`: one after a failure, and one more for each
    that went well."""

    __slots__ = ("bears", "busy", "door", "fails", "members", "timer", "waiting")

    def __init__(self, name: str) -> None:
        self.door = HostHealth(name, 0, DESTINATION)
        """How it fares, where it is a mail system. Only those wait for it that have mail for it: it
        is `waiting`."""
        self.waiting: OrderedDict[str, None] = OrderedDict()
        self.timer: asyncio.TimerHandle | None = None
        self.members = 0
        self.busy = 0
        self.bears = 1
        self.fails = False


class _Queue:
    """Those who wait at a door, by destination; destinations take turns."""

    __slots__ = ("door", "outside", "pace", "paced_until", "tickets")

    def __init__(self, door: HostHealth) -> None:
        self.door = door
        self.tickets: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self.outside: list[Ticket] = []
        """Those who have begun and were not let in yet."""
        self.pace = 0.0
        self.paced_until = 0.0

    def add(self, ticket: Ticket) -> None:
        waiting = self.tickets.setdefault(ticket.place.destination, deque())
        if ticket.urgent:
            waiting.appendleft(ticket)
            self.tickets.move_to_end(ticket.place.destination, last=False)
        else:
            waiting.append(ticket)

    def heads(self) -> Iterator[Ticket]:
        """The first one for each destination."""
        for destination, waiting in list(self.tickets.items()):
            while waiting and waiting[0].cancelled:
                waiting.popleft()
            if waiting:
                yield waiting[0]
            else:
                del self.tickets[destination]

    def take(self, ticket: Ticket) -> None:
        self.tickets[ticket.place.destination].popleft()
        self.tickets.move_to_end(ticket.place.destination)

    def impatient(self) -> list[Ticket]:
        """Takes out those who would rather know now that the host is away."""
        found = [
            ticket
            for waiting in self.tickets.values()
            for ticket in waiting
            if ticket.refuse is not None and not ticket.cancelled
        ]
        for ticket in found:
            ticket.cancelled = True
        return found

    def __len__(self) -> int:
        return sum(map(len, self.tickets.values()))

    def wait(self, ticket: Ticket, now: float) -> float:
        """Seconds until this one may come; infinite until something happens."""
        door = self.door
        if self.outside and (door.away or not door.known):
            # one at a time, and one more when that one has waited for long
            second = (
                self.outside[-1].began + EVERY - now if len(self.outside) == 1 else float("inf")
            )
            return max(second, door.next_attempt - now if door.away else 0.0)
        if door.away:
            return 0.0 if ticket.urgent else door.next_attempt - now
        return self.paced_until - now if self.pace else 0.0


class _Host:
    """`next_login` is a time of the event loop's clock."""

    __slots__ = ("busy", "fewer", "fewer_until", "limits", "name", "next_login", "queues", "timer")

    def __init__(self, name: str, limits: HostLimits) -> None:
        self.name = name
        self.limits = limits
        self.queues: dict[int, _Queue] = {}
        self.busy = 0
        self.next_login = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.fewer = 0
        self.fewer_until = 0.0

    @property
    def connections(self) -> int:
        return (
            min(self.fewer, self.limits.connections)
            if _now() < self.fewer_until
            else self.limits.connections
        )

    @property
    def all_away(self) -> bool:
        return all(queue.door.away for queue in self.queues.values())

    def queue(self, port: int) -> _Queue:
        if port not in self.queues:
            self.queues[port] = _Queue(HostHealth(self.name, port))
        return self.queues[port]


class Admission:
    """Queues by host, port and destination."""

    def __init__(self, sessions: int, limits_of: LimitsOf) -> None:
        self._most = sessions
        self._running = 0
        self._probing = 0
        self._limits_of = limits_of
        self._hosts: dict[str, _Host] = {}
        self._turns: OrderedDict[str, _Host] = OrderedDict()
        """Hosts that have somebody waiting, a connection to spare and a login due, in the order of
        their turns."""
        self._crowded: dict[str, _Host] = {}
        """Those whose turn it is to be tried, when one less of the hosts that are away is."""
        self._under_way: dict[Ticket, _Host] = {}
        """In the order in which they began."""
        self._squeezing: asyncio.TimerHandle | None = None
        self._destinations: dict[str, _DestinationState] = {}
        self._members: dict[str, tuple[SessionTarget, Callable[[], None]]] = {}
        self._changed: Callable[[str], None] = lambda _: None
        self._moved: Callable[[Collection[str]], None] = lambda _: None

    # -- who is there

    def on_changed(
        self, tell: Callable[[str], None], moved: Callable[[Collection[str]], None]
    ) -> None:
        """Whom to tell that a collector's host is away, or back; and of all that have their mail at
        one that is away, that it is tried at another time."""
        self._changed, self._moved = tell, moved

    def join(
        self,
        name: str,
        place: SessionTarget,
        interval: float,
        back: Callable[[], None] = lambda: None,
    ) -> None:
        """This collector has its mail there. `back`: what it waited for is there again."""
        self.leave(name)
        self._members[name] = place, back
        self._host(place.host).queue(place.port).door.members[name] = interval
        self._destination(place).members += 1
        self._destination(place).door.members[name] = interval

    def leave(self, name: str) -> None:
        """It has no longer."""
        if name not in self._members:
            return
        place, _ = self._members.pop(name)
        host = self._host(place.host)
        del host.queue(place.port).door.members[name]
        self._forget(host)
        destination = self._destination(place)
        destination.members -= 1
        destination.door.members.pop(name, None)
        destination.waiting.pop(name, None)
        if destination.timer is not None and not destination.waiting:
            destination.timer.cancel()
            destination.timer = None
        self._forget_destination(place)

    def door(self, place: SessionTarget) -> HostHealth:
        return self._host(place.host).queue(place.port).door

    def destination_door(self, place: SessionTarget) -> HostHealth:
        """How the destination fares; away are only mail systems."""
        return self._destination(place).door

    def waits_for_destination(self, name: str, place: SessionTarget) -> bool:
        """Whether it is to wait until its destination, which it has mail for, is there again, or
        its own turn comes to try."""
        destination = self._destination(place)
        return destination.door.away and name in destination.waiting

    def recall_destination(self, name: str, place: SessionTarget, failure: Failure) -> None:
        """It was away for this collector when the last process ended: one tries at once, the others
        wait."""
        destination = self._destination(place)
        if _is_mail_system(place):
            destination.door.recall(failure, _now())
            if destination.door.away:
                destination.waiting[name] = None
                self._watch(destination)

    def causes(self) -> list[Outage]:
        """Of the doors that are away."""
        return [
            cause
            for host in self._hosts.values()
            for queue in host.queues.values()
            if (cause := queue.door.cause) is not None
        ]

    # -- asking

    def request(
        self,
        place: SessionTarget,
        admit: Admit,
        *,
        refuse: Callable[[Failure], None] | None = None,
        urgent: bool = False,
    ) -> Ticket:
        """Call `admit` as soon as there is room, at once if there is; it must `release` the ticket
        when it is done. `urgent`: before the others of this host, and also where the host is away.
        `refuse`: called instead when it turns out to be."""
        ticket = Ticket(place, admit, refuse, urgent=urgent)
        host = self._host(place.host)
        host.queue(place.port).add(ticket)
        self._line_up(host)
        self._admit()
        return ticket

    @staticmethod
    def cancel(ticket: Ticket) -> None:
        """Give up the place in the queue."""
        ticket.cancelled = True

    def entered(self, ticket: Ticket) -> None:
        """The server has let this session in."""
        if ticket.entered:
            return
        ticket.entered = True
        host = self._hosts[ticket.place.host]
        queue = host.queue(ticket.place.port)
        if ticket in queue.outside:
            queue.outside.remove(ticket)
        self._enter(host, queue)
        self._admit()

    def learn(
        self, ticket: Ticket, report: SessionReport, *, knocked: bool = True, name: str = ""
    ) -> None:
        """How the session went that is about to be released. Not `knocked`: it failed before it
        came to the server. `name`: the collector's, where it is a member that can wait."""
        if report.outcome is not Outcome.INTERRUPTED:
            host = self._hosts[ticket.place.host]
            self._learn(host, host.queue(ticket.place.port), ticket, report, knocked=knocked)
            self._learn_of_mail_system(name, ticket, report)

    def release(self, ticket: Ticket) -> None:
        """A session that was admitted is over."""
        ticket.held = False
        host = self._hosts[ticket.place.host]
        queue = host.queue(ticket.place.port)
        if ticket in queue.outside:
            queue.outside.remove(ticket)
        self._under_way.pop(ticket, None)
        self._running -= 1
        self._probing -= ticket.probes
        if ticket.probes:
            self._turns.update(self._crowded)
            self._crowded.clear()
        host.busy -= 1
        self._destination(ticket.place).busy -= 1
        self._forget_destination(ticket.place)
        self._line_up(host)
        self._admit()

    def another_login(self, ticket: Ticket) -> None:
        """A session that was admitted logs in once more: the next one of this host waits for that,
        too."""
        host = self._hosts[ticket.place.host]
        host.next_login += host.limits.spacing
        self._line_up(host)

    # -- learning

    def _learn(
        self, host: _Host, queue: _Queue, ticket: Ticket, report: SessionReport, *, knocked: bool
    ) -> None:
        door, failure, now = queue.door, report.error, _now()
        if not knocked:
            return
        door.judge(now - ticket.began, well=failure is None)
        self._learn_of_destination(ticket.place, report)
        if ticket.entered:
            return  # that was told when it happened
        if answered(failure):
            self._enter(host, queue)
        elif failure is not None and turned_away(failure):
            if failure.of_address and door.entered_at >= ticket.began:
                host.fewer, host.fewer_until = max(1, host.busy - 1), now + _FEWER
            if door.fail(failure, ticket.began, now):
                self._tell(door)
            elif door.away:
                self._moved(door.members.keys())
            if door.away:
                for impatient in queue.impatient():
                    assert impatient.refuse is not None  # noqa: S101  # what they were chosen by
                    impatient.refuse(failure)

    def _enter(self, host: _Host, queue: _Queue) -> None:
        if queue.door.enter(_now()):
            host.fewer_until = 0.0
            queue.pace = min(SPACED, SPREAD / max(1, len(queue.door.members)))
            queue.paced_until = _now()
            self._tell(queue.door)
            for name in list(queue.door.members):
                self._members[name][1]()
        self._line_up(host)

    def _learn_of_destination(self, place: SessionTarget, report: SessionReport) -> None:
        destination = self._destination(place)
        if report.error is not None and report.error.reason == DestinationUnavailable.reason:
            destination.fails, destination.bears = True, 1
        elif destination.fails and report.error is None:
            destination.bears += 1
            destination.fails = not report.collected
            if report.collected:
                for name, (other, back) in list(self._members.items()):
                    if other.destination == place.destination and name not in destination.waiting:
                        back()

    def _learn_of_mail_system(self, name: str, ticket: Ticket, report: SessionReport) -> None:
        destination, failure = self._destination(ticket.place), report.error
        if name not in destination.door.members or not _is_mail_system(ticket.place):
            return
        fails = failure is not None and failure.reason == DestinationUnavailable.reason
        destination.waiting.pop(name, None)
        if fails and failure is not None and not failure.of_one:
            destination.waiting[name] = None
            if destination.door.fail(failure, ticket.began, _now()):
                self._tell(destination.door)
            elif destination.door.away:
                self._moved(destination.door.members.keys())
        elif (fails or report.collected) and destination.door.enter(_now()):
            self._follow(destination)
        self._watch(destination)

    def _follow(self, destination: _DestinationState) -> None:
        """It is there again: whoever has waited for it follows, spread over some seconds."""
        self._tell(destination.door)
        waiting, pace = (
            list(destination.waiting),
            min(SPACED, SPREAD / max(1, len(destination.waiting))),
        )
        destination.waiting.clear()
        for number, name in enumerate(waiting):
            asyncio.get_running_loop().call_later(number * pace, self._call_back, name)

    def _call_back(self, name: str) -> None:
        if name in self._members:
            self._members[name][1]()

    def _watch(self, destination: _DestinationState) -> None:
        """One timer for those who wait; nobody who could try is left: then it is not known to be
        away."""
        if destination.timer is not None:
            destination.timer.cancel()
            destination.timer = None
        if not destination.door.away:
            return
        if destination.waiting:
            delay = max(0.0, destination.door.next_attempt - _now())
            destination.timer = asyncio.get_running_loop().call_later(delay, self._try, destination)
        elif destination.door.enter(_now()):
            self._tell(destination.door)

    def _try(self, destination: _DestinationState) -> None:
        """One of those who wait tries: the next one in turn."""
        destination.timer = None
        name = next(iter(destination.waiting))
        destination.waiting.move_to_end(name)
        destination.door.postpone(_now())
        self._moved(destination.door.members.keys())
        self._watch(destination)
        self._call_back(name)

    def _tell(self, door: HostHealth) -> None:
        for name in door.members:
            self._changed(name)

    # -- admitting

    @property
    def _kept(self) -> int:
        """Sessions that are kept for hosts that fare well."""
        if self._most < 2 or (len(self._hosts) < 2 and len(self._destinations) < 2):
            return 0
        return max(1, self._most // 4)

    def _admit(self) -> None:
        passed_over: list[_Host] = []
        while self._turns and self._running < self._most:
            _, host = self._turns.popitem(last=False)
            ticket = self._next(host)
            if ticket is None and self._probing >= self._kept and host.all_away:
                self._crowded[host.name] = host
            elif ticket is None:
                passed_over.append(host)
            else:
                self._begin(host, ticket)
        for host in reversed(passed_over):  # it is still their turn
            self._line_up(host)
            if host.name in self._turns:
                self._turns.move_to_end(host.name, last=False)
        self._squeeze()

    def _squeeze(self) -> None:
        """Make room for those who wait though nothing bad is known of them."""
        if self._squeezing is not None:
            self._squeezing.cancel()
            self._squeezing = None
        if not self._turns:
            return
        ending = sum(ticket.ending is not None for ticket in self._under_way)
        if ending >= sum(map(self._deserves, self._turns.values())):
            if ending:
                self._look_again(
                    min(
                        ticket.makes_room_at
                        for ticket in self._under_way
                        if ticket.ending is not None
                    )
                )
            return
        ticket = min(self._under_way, key=lambda ticket: ticket.makes_room_at, default=None)
        if ticket is None or ticket.makes_room_at > _now():
            self._look_again(ticket.makes_room_at if ticket else float("inf"))
        else:
            self._end(ticket)

    def _look_again(self, at: float) -> None:
        if at != float("inf"):
            self._squeezing = asyncio.get_running_loop().call_at(max(at, _now() + 0.1), self._admit)

    def _deserves(self, host: _Host) -> bool:
        now = _now()
        return any(
            queue.door.deserves and queue.wait(ticket, now) <= 0
            for queue in host.queues.values()
            for ticket in queue.heads()
        )

    def _end(self, ticket: Ticket) -> None:
        assert ticket.control is not None  # noqa: S101  # else it makes no room
        host, again = self._under_way[ticket], ticket.ending is not None
        queue = host.queue(ticket.place.port)
        ticket.ending = _now()
        if ticket.entered and not again:
            ticket.control.stop()
        else:
            ticket.control.give_up()
        queue.door.judge(float("inf"), well=False)
        if not ticket.entered and not again and queue.door.fail(_SILENT, ticket.began, _now()):
            self._tell(queue.door)
        self._look_again(_now())

    def _next(self, host: _Host) -> Ticket | None:
        now = _now()
        for queue in list(host.queues.values()):
            for ticket in queue.heads():
                if queue.wait(ticket, now) <= 0 and self._has_room(host, queue.door, ticket):
                    return ticket
        return None

    def _has_room(self, host: _Host, door: HostHealth, ticket: Ticket) -> bool:
        kept = self._kept
        destination = self._destination(ticket.place)
        if destination.fails and destination.busy >= destination.bears:
            return False
        if len(self._destinations) > 1 and destination.busy >= max(1, self._most - kept):
            return False
        if door.away and kept and self._probing >= kept:
            return False
        spare = self._most - self._running
        return (
            spare > kept
            or (door.stands and host.busy < max(1, kept // 2))
            or (spare > kept // 2 and door.untried and not host.busy)
        )

    def _begin(self, host: _Host, ticket: Ticket) -> None:
        now, queue = _now(), host.queue(ticket.place.port)
        queue.take(ticket)
        ticket.began, ticket.probes, ticket.held = now, queue.door.away, True
        queue.outside.append(ticket)
        self._under_way[ticket] = host
        self._running += 1
        self._probing += ticket.probes
        host.busy += 1
        self._destination(ticket.place).busy += 1
        host.next_login = (
            max(now, host.next_login) + host.limits.spacing if host.limits.logins else 0.0
        )
        if ticket.probes:
            queue.door.postpone(now)
            self._moved(queue.door.members.keys())
        if queue.pace:
            queue.paced_until = max(now, queue.paced_until) + queue.pace
            queue.pace = queue.pace if len(queue) else 0.0
        host.queues[ticket.place.port] = host.queues.pop(ticket.place.port)  # ports take turns
        self._line_up(host)
        ticket.admit(ticket)

    def _line_up(self, host: _Host) -> None:
        """Give the host a turn, or the timer that will, or none; forget it when nothing is left to
        know of it."""
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        self._crowded.pop(host.name, None)
        self._forget(host)
        now = _now()
        waits = [
            queue.wait(ticket, now) for queue in host.queues.values() for ticket in queue.heads()
        ]
        wait = max(
            min(waits, default=float("inf")), host.next_login - now if host.limits.logins else 0.0
        )
        if host.busy >= host.connections or wait > 0:
            self._turns.pop(host.name, None)
            if host.busy < host.connections and wait != float("inf"):
                host.timer = asyncio.get_running_loop().call_later(wait, self._due, host)
        else:
            self._turns.setdefault(host.name, host)

    def _due(self, host: _Host) -> None:
        host.timer = None
        self._line_up(host)
        self._admit()

    def _host(self, name: str) -> _Host:
        found = self._hosts.get(name)
        if found is None:
            found = self._hosts[name] = _Host(name, self._limits_of(name))
        return found

    def _destination(self, place: SessionTarget) -> _DestinationState:
        return self._destinations.get(place.destination) or self._destinations.setdefault(
            place.destination, _DestinationState(place.destination)
        )

    def _forget_destination(self, place: SessionTarget) -> None:
        if not self._destination(place).members and not self._destination(place).busy:
            del self._destinations[place.destination]

    def _forget(self, host: _Host) -> None:
        for port, queue in list(host.queues.items()):
            if (
                not queue.door.members
                and not queue.outside
                and not any(True for _ in queue.heads())
                and not host.busy
            ):
                del host.queues[port]
        if not host.queues and not host.busy and not host.limits.logins:
            self._hosts.pop(host.name, None)
            self._turns.pop(host.name, None)
            self._crowded.pop(host.name, None)


def _is_mail_system(place: SessionTarget) -> bool:
    return place.destination.startswith(("lmtp ", "smtp "))


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def admitted(
    admission: Admission, place: SessionTarget, *, urgent: bool = False
) -> AsyncIterator[Ticket]:
    """Inside of this context a session with this host may run. Raises HostAway."""
    settled: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def settle(found: Failure | None) -> None:
        if not settled.done():
            settled.set_result(found)

    ticket = admission.request(place, lambda _: settle(None), refuse=settle, urgent=urgent)
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


class NotAdmitted(ConnectionFailed):
    """It was not tried: others of its host were not let in a moment ago."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"not tried, for somebody was just not let in: {failure.message}")
        self.reason = failure.reason
