"""Who may begin a session now: so many at once in all, and so many to one host (hazards R1, R4).

A session that waits here is an entry in a queue: it holds no thread and no connection.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable

Admit = Callable[[], None]


class Ticket:
    """A place in the queue."""

    __slots__ = ("admit", "cancelled", "host")

    def __init__(self, host: str, admit: Admit) -> None:
        self.host = host
        self.admit = admit
        self.cancelled = False


class Admission:
    """Queues by host. Hosts take turns, so that one with many collectors does not delay the others."""

    def __init__(self, sessions: int, per_host: int) -> None:
        self._free = sessions
        self._per_host = per_host
        self._busy: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        """Hosts that have somebody waiting and a connection to spare, in the order of their turns."""
        self._full: dict[str, deque[Ticket]] = {}
        """Hosts at their limit that have somebody waiting."""

    def request(self, host: str, admit: Admit, *, urgent: bool = False) -> Ticket:
        """Call `admit` as soon as there is room, at once if there is; it must `release` the host when it is done.
        `urgent`: before the others of this host."""
        ticket = Ticket(host, admit)
        queues = self._full if self._busy[host] >= self._per_host else self._waiting
        queue = queues.setdefault(host, deque())
        if urgent:
            queue.appendleft(ticket)
        else:
            queue.append(ticket)
        self._admit()
        return ticket

    @staticmethod
    def cancel(ticket: Ticket) -> None:
        """Give up the place in the queue."""
        ticket.cancelled = True

    def release(self, host: str) -> None:
        """A session that was admitted is over."""
        self._free += 1
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
        if host in self._full:
            self._waiting[host] = self._full.pop(host)
        self._admit()

    def _admit(self) -> None:
        while self._free and self._waiting:
            host, queue = self._waiting.popitem(last=False)
            ticket = _next(queue)
            if ticket is None:
                continue
            self._free -= 1
            self._busy[host] += 1
            self._requeue(host, queue)
            ticket.admit()

    def _requeue(self, host: str, queue: deque[Ticket]) -> None:
        if queue:
            queues = self._full if self._busy[host] >= self._per_host else self._waiting
            queues[host] = queue


def _next(queue: deque[Ticket]) -> Ticket | None:
    while queue:
        ticket = queue.popleft()
        if not ticket.cancelled:
            return ticket
    return None
