"""The queues of sessions that wait for a host: by port, and within a port by destination."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Protocol

from reconciler.control.host_health import RETRY_EVERY, HostHealth, SessionTarget
from reconciler.control.host_limits import HostLimits
from reconciler.model.outcomes import Failure

NOT_LET_IN, SLICE, LAST = 8.0, 60.0, 30.0
"""Seconds that a session may take while others wait: until it is let in, in all, and after a
request to end."""
NEVER = float("inf")


class Interruptible(Protocol):
    """A session that can be told to end."""

    def stop(self) -> None: ...
    def give_up(self) -> None: ...


class Ticket:
    """A place in the queue, and then of a session. `admit` is called when the session may begin;
    `refuse` instead of it where the host turns out to be away."""

    __slots__ = (
        "admit",
        "asked",
        "began",
        "cancelled",
        "control",
        "ending",
        "entered",
        "held",
        "probes",
        "refuse",
        "target",
        "urgent",
    )

    def __init__(
        self,
        target: SessionTarget,
        admit: Admit,
        refuse: Callable[[Failure], None] | None,
        *,
        urgent: bool,
    ) -> None:
        self.target = target
        self.admit = admit
        self.refuse = refuse
        self.urgent = urgent
        self.cancelled = False
        self.held = False
        """Whether its session has begun and is not over."""
        self.entered = False
        """Whether the server has let its session in."""
        self.probes = False
        """Whether its session tries a host that is away."""
        self.asked = asyncio.get_running_loop().time()
        """The time since which it waits. Outages of its host and pauses do not count."""
        self.began = 0.0
        self.control: Interruptible | None = None
        """The control by which the session can be ended; None if it cannot."""
        self.ending: float | None = None
        """The time when its session was told to end."""

    @property
    def makes_way_at(self) -> float:
        """When its session may be told to end, or is given up after it was told."""
        if self.control is None or self.urgent or (self.probes and not self.entered):
            return NEVER
        if self.ending is not None:
            return self.ending + LAST
        return self.began + (SLICE if self.entered else NOT_LET_IN)


Admit = Callable[[Ticket], None]


class PortQueue:
    """Tickets for one host and port, by destination; destinations take turns."""

    __slots__ = ("health", "not_let_in", "pace", "paced_until", "tickets")

    def __init__(self, health: HostHealth) -> None:
        self.health = health
        self.tickets: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self.not_let_in: list[Ticket] = []
        """Tickets whose sessions have begun and were not let in yet."""
        self.pace = 0.0
        """Seconds between two sessions while those follow that waited for the host; else 0."""
        self.paced_until = 0.0

    def add(self, ticket: Ticket) -> None:
        """Add a ticket at the end; before all others where it is urgent."""
        waiting = self.tickets.setdefault(ticket.target.destination, deque())
        if ticket.urgent:
            waiting.appendleft(ticket)
            self.tickets.move_to_end(ticket.target.destination, last=False)
        else:
            waiting.append(ticket)

    def heads(self) -> Iterator[Ticket]:
        """Yield the first ticket for each destination."""
        for destination, waiting in list(self.tickets.items()):
            while waiting and waiting[0].cancelled:
                waiting.popleft()
            if waiting:
                yield waiting[0]
            else:
                del self.tickets[destination]

    def take(self, ticket: Ticket) -> None:
        """Take out this ticket, which is the first for its destination."""
        self.tickets[ticket.target.destination].popleft()
        self.tickets.move_to_end(ticket.target.destination)

    def take_impatient(self) -> list[Ticket]:
        """Remove and return the tickets that are to be refused while the host is away."""
        found = [
            ticket
            for waiting in self.tickets.values()
            for ticket in waiting
            if ticket.refuse is not None and not ticket.cancelled
        ]
        for ticket in found:
            ticket.cancelled = True
        return found

    def waiting(self) -> Iterator[Ticket]:
        """Yield all tickets that were not cancelled."""
        for tickets in self.tickets.values():
            yield from (ticket for ticket in tickets if not ticket.cancelled)

    def restart_waiting(self, now: float) -> None:
        """Count all tickets as asked for now: their obstacle is gone."""
        for ticket in self.waiting():
            ticket.asked = now

    def leave(self, ticket: Ticket) -> None:
        """Note that this session was let in, or is over."""
        if ticket in self.not_let_in:
            self.not_let_in.remove(ticket)

    def __len__(self) -> int:
        return sum(map(len, self.tickets.values()))

    def wait(self, ticket: Ticket, now: float) -> float:
        """Return the seconds until this session may come; NEVER where something has to happen
        first."""
        health = self.health
        if self.not_let_in and (health.away or not health.known):
            # one at a time, and a second one when the first has waited for long
            second = NEVER
            if len(self.not_let_in) == 1:
                second = self.not_let_in[-1].began + RETRY_EVERY - now
            return max(second, health.next_attempt - now if health.away else 0.0)
        if health.away:
            return 0.0 if ticket.urgent else health.next_attempt - now
        return self.paced_until - now if self.pace else 0.0


class HostQueues:
    """The queues and the limits of one host. `next_login` is of the event loop's clock."""

    __slots__ = (
        "busy",
        "busy_with",
        "destinations",
        "fewer",
        "fewer_until",
        "limits",
        "name",
        "next_login",
        "queues",
        "timer",
    )

    def __init__(self, name: str, limits: HostLimits) -> None:
        self.name = name
        self.limits = limits
        self.queues: dict[int, PortQueue] = {}
        self.busy = 0
        """The number of sessions that run now."""
        self.busy_with: Counter[str] = Counter()
        """The number of sessions that run now, by destination."""
        self.destinations: Counter[str] = Counter()
        """The number of collectors that have their mail here, by destination."""
        self.next_login = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.fewer = 0
        """The number of simultaneous sessions until `fewer_until`: the host refused a session while
        this many were open."""
        self.fewer_until = 0.0

    @property
    def connections(self) -> int:
        """How many simultaneous sessions are allowed now."""
        if asyncio.get_running_loop().time() < self.fewer_until:
            return min(self.fewer, self.limits.connections)
        return self.limits.connections

    def has_room_for(self, destination: str) -> bool:
        """Return whether one more session for this destination leaves some for the others'. Where
        all deliver to one, nothing is kept."""
        if len(self.destinations) < 2:
            return True
        kept = max(1, self.connections // 4)
        return self.busy_with[destination] < max(1, self.connections - kept)

    @property
    def all_away(self) -> bool:
        return all(queue.health.away for queue in self.queues.values())

    def queue(self, port: int) -> PortQueue:
        """Return the queue of this port, new where there was none."""
        if port not in self.queues:
            self.queues[port] = PortQueue(HostHealth(self.name, port))
        return self.queues[port]

    @property
    def has_urgent(self) -> bool:
        """Whether somebody asked for one of its sessions."""
        return any(ticket.urgent for queue in self.queues.values() for ticket in queue.heads())

    def wait(self, now: float) -> float:
        """Return the seconds until one of its sessions may come; NEVER where none waits, or
        something has to happen first."""
        waits = [
            queue.wait(ticket, now) for queue in self.queues.values() for ticket in queue.heads()
        ]
        next_login = self.next_login - now if self.limits.logins else 0.0
        return max(min(waits, default=NEVER), next_login)

    def forget_unused(self) -> None:
        """Drop the queues of ports that no collector, ticket or session uses any more."""
        for port, queue in list(self.queues.items()):
            if (
                not queue.health.members
                and not queue.not_let_in
                and not any(True for _ in queue.heads())
                and not self.busy
            ):
                del self.queues[port]
