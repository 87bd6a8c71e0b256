"""Who may begin a session now: so many at once in all, so many with one host, and so many logins a minute there
(hazards R1, R4).

A session that waits here is an entry in a queue: it holds no thread and no connection. A host whose next login must
wait has one timer, however many sessions wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from reconciler.control.limits import HostLimits, LimitsOf, canonical

Admit = Callable[[], None]


class Ticket:
    """A place in the queue."""

    __slots__ = ("admit", "cancelled", "host")

    def __init__(self, host: str, admit: Admit) -> None:
        self.host = host
        self.admit = admit
        self.cancelled = False


class _Host:
    """One host's queue. `next_login` is a time of the event loop's clock."""

    __slots__ = ("busy", "limits", "name", "next_login", "timer", "waiting")

    def __init__(self, name: str, limits: HostLimits) -> None:
        self.name = name
        self.limits = limits
        self.waiting: deque[Ticket] = deque()
        self.busy = 0
        self.next_login = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def first(self) -> Ticket | None:
        """The next one in the queue, who stays in it."""
        while self.waiting and self.waiting[0].cancelled:
            self.waiting.popleft()
        return self.waiting[0] if self.waiting else None


class Admission:
    """Queues by host. Hosts take turns, so that one with many collectors does not delay the others."""

    def __init__(self, sessions: int, limits_of: LimitsOf) -> None:
        self._free = sessions
        self._limits_of = limits_of
        self._hosts: dict[str, _Host] = {}
        self._turns: OrderedDict[str, _Host] = OrderedDict()
        """Hosts that have somebody waiting, a connection to spare and a login due, in the order of their turns."""

    def request(self, host: str, admit: Admit, *, urgent: bool = False) -> Ticket:
        """Call `admit` as soon as there is room, at once if there is; it must `release` the host when it is done.
        `urgent`: before the others of this host."""
        ticket = Ticket(canonical(host), admit)
        found = self._hosts.get(ticket.host)
        if found is None:
            found = self._hosts[ticket.host] = _Host(ticket.host, self._limits_of(ticket.host))
        if urgent:
            found.waiting.appendleft(ticket)
        else:
            found.waiting.append(ticket)
        self._line_up(found)
        self._admit()
        return ticket

    @staticmethod
    def cancel(ticket: Ticket) -> None:
        """Give up the place in the queue."""
        ticket.cancelled = True

    def release(self, host: str) -> None:
        """A session that was admitted is over."""
        found = self._hosts[canonical(host)]
        self._free += 1
        found.busy -= 1
        self._line_up(found)
        self._admit()

    def another_login(self, host: str) -> None:
        """A session that was admitted logs in once more: the next one of this host waits for that, too."""
        found = self._hosts[canonical(host)]
        found.next_login += found.limits.spacing
        self._line_up(found)

    def _admit(self) -> None:
        while self._free and self._turns:
            _, host = self._turns.popitem(last=False)
            ticket = host.first()
            if ticket is None:
                self._line_up(host)
                continue
            host.waiting.popleft()
            self._free -= 1
            host.busy += 1
            host.next_login = max(_now(), host.next_login) + host.limits.spacing if host.limits.logins else 0.0
            self._line_up(host)
            ticket.admit()

    def _line_up(self, host: _Host) -> None:
        """Give the host a turn, or the timer that will, or none; forget it when nothing is left to know of it."""
        if host.first() is None:
            self._turns.pop(host.name, None)
            if not host.busy and not host.limits.logins:
                del self._hosts[host.name]
        elif host.busy >= host.limits.connections:
            self._turns.pop(host.name, None)
        elif host.limits.logins and (wait := host.next_login - _now()) > 0:
            self._turns.pop(host.name, None)
            if host.timer is None:
                host.timer = asyncio.get_running_loop().call_later(wait, self._login_due, host)
        else:
            self._turns.setdefault(host.name, host)

    def _login_due(self, host: _Host) -> None:
        host.timer = None
        self._line_up(host)
        self._admit()


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def admitted(admission: Admission, host: str) -> AsyncIterator[None]:
    """Inside of this context a session with this host may run."""
    room = asyncio.Event()
    ticket = admission.request(host, room.set)
    try:
        await room.wait()
        yield
    finally:
        if room.is_set():
            admission.release(host)
        else:
            admission.cancel(ticket)
