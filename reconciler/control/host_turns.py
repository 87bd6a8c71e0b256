"""The turns of the hosts: whose next session may be admitted, in what order.

A host has a turn if a session for it is due, and its limits allow one more connection and one more
login. A host whose next session must wait has one timer, however many sessions wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from reconciler.control.host_limits import LimitsOf
from reconciler.control.host_queues import NEVER, HostQueues, Ticket


class HostTurns:
    """All hosts by name, and their turns. `admit` is called when a timer has given a host its
    turn."""

    def __init__(self, limits_of: LimitsOf, admit: Callable[[], None]) -> None:
        self.paused = False
        """Only sessions that somebody asked for give their host a turn."""
        self._limits_of = limits_of
        self._admit = admit
        self._hosts: dict[str, HostQueues] = {}
        self._turns: OrderedDict[str, HostQueues] = OrderedDict()
        self._held_back: dict[str, HostQueues] = {}
        """Hosts that are away and whose turn it is, while too many such hosts are being tried."""

    def __len__(self) -> int:
        """Return the number of hosts that are known."""
        return len(self._hosts)

    def __iter__(self) -> Iterator[HostQueues]:
        return iter(list(self._hosts.values()))

    def host(self, name: str) -> HostQueues:
        """Return the host of this name, new where it was not known."""
        found = self._hosts.get(name)
        if found is None:
            found = self._hosts[name] = HostQueues(name, self._limits_of(name))
        return found

    def host_of(self, ticket: Ticket) -> HostQueues:
        """Return the host of a session that was admitted; it is known until the session is over."""
        return self._hosts[ticket.target.host]

    @property
    def in_turn(self) -> Iterable[HostQueues]:
        """The hosts that have a turn, in order."""
        return self._turns.values()

    def take(self) -> HostQueues:
        """Take the turn of the first host in order. Call this only where one has a turn."""
        return self._turns.popitem(last=False)[1]

    def hold_back(self, host: HostQueues) -> None:
        """Keep the turn of a host that is away for later: see `release_held_back`."""
        self._held_back[host.name] = host

    def release_held_back(self) -> None:
        """Give the hosts that were held back their turns, after the others."""
        self._turns.update(self._held_back)
        self._held_back.clear()

    def put_back(self, hosts: list[HostQueues]) -> None:
        """Give hosts whose turn was taken for nothing their turns again, before the others."""
        for host in reversed(hosts):
            self.schedule(host)
            if host.name in self._turns:
                self._turns.move_to_end(host.name, last=False)

    def schedule(self, host: HostQueues) -> None:
        """Give the host a turn or a timer, or neither. Forget it when nothing is left to know of
        it."""
        if host.timer is not None:
            host.timer.cancel()
            host.timer = None
        self._held_back.pop(host.name, None)
        self.forget_unused(host)
        if self.paused and not host.has_urgent:
            self._turns.pop(host.name, None)
            return
        wait = host.wait(asyncio.get_running_loop().time())
        if host.busy < host.connections and wait <= 0:
            self._turns.setdefault(host.name, host)
            return
        self._turns.pop(host.name, None)
        if host.busy < host.connections and wait != NEVER:
            host.timer = asyncio.get_running_loop().call_later(wait, self._on_timer, host)

    def _on_timer(self, host: HostQueues) -> None:
        host.timer = None
        self.schedule(host)
        self._admit()

    def forget_unused(self, host: HostQueues) -> None:
        """Forget the host's queues that are empty, and the host when none is left. Its timer ends
        with it: by then, another one may be known by its name."""
        host.forget_unused()
        if not host.queues and not host.busy and not host.limits.logins:
            if host.timer is not None:
                host.timer.cancel()
                host.timer = None
            self._hosts.pop(host.name, None)
            self._turns.pop(host.name, None)
            self._held_back.pop(host.name, None)
