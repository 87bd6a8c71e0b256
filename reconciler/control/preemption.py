"""Make room: sessions that end early, because others wait whose host is blameless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.control.host_health import HostHealth
from reconciler.control.host_queues import NEVER, NOT_LET_IN, HostQueues, Ticket
from reconciler.control.host_turns import HostTurns
from reconciler.model.errors import ConnectionFailed
from reconciler.model.outcomes import Failure

_SILENT = Failure(
    ConnectionFailed.reason,
    f"nobody was let in within {NOT_LET_IN:.0f} s, while others waited",
)
_SHORTEST_WAIT = 0.1
"""Seconds until it is looked again, at least."""


class Preemption:
    """Ends running sessions in favour of those that wait. `admit` is called when it is time to look
    again, and `went_away` with a host that is away from now on. `has_room` says whether the
    destination of a ticket has room: no session ends for one that would have to wait all the
    same."""

    def __init__(
        self,
        turns: HostTurns,
        admit: Callable[[], None],
        went_away: Callable[[HostHealth], None],
        has_room: Callable[[HostQueues, Ticket], bool],
    ) -> None:
        self.under_way: dict[Ticket, HostQueues] = {}
        """Running sessions, in the order in which they began."""
        self._turns = turns
        self._admit = admit
        self._went_away = went_away
        self._has_room = has_room
        self._timer: asyncio.TimerHandle | None = None

    def make_room(self) -> None:
        """End a session for those that wait though their host is blameless, or set a timer for
        that."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._turns.in_turn:
            return
        ending = [ticket for ticket in self.under_way if ticket.ending is not None]
        if len(ending) >= sum(map(self._deserves_room, self._turns.in_turn)):
            if ending:
                self._look_again_at(min(ticket.makes_way_at for ticket in ending))
            return
        ticket = min(self.under_way, key=lambda ticket: ticket.makes_way_at, default=None)
        if ticket is None or ticket.makes_way_at > _now():
            self._look_again_at(ticket.makes_way_at if ticket else NEVER)
        else:
            self._end(ticket)

    def _look_again_at(self, at: float) -> None:
        if at != NEVER:
            when = max(at, _now() + _SHORTEST_WAIT)
            self._timer = asyncio.get_running_loop().call_at(when, self._admit)

    def _end(self, ticket: Ticket) -> None:
        """End this session. It ends after its message at first; at once where it was told before,
        or was never let in."""
        assert ticket.control is not None  # noqa: S101  # else it makes no room
        host, again = self.under_way[ticket], ticket.ending is not None
        health = host.queue(ticket.target.port).health
        ticket.ending = _now()
        if ticket.entered and not again:
            ticket.control.stop()
        else:
            ticket.control.give_up()
        health.judge(float("inf"), well=False)
        if not ticket.entered and not again and health.fail(_SILENT, ticket.began, _now()):
            self._went_away(health)
        self._look_again_at(_now())

    def _deserves_room(self, host: HostQueues) -> bool:
        now = _now()
        return any(
            queue.health.is_blameless
            and queue.wait(ticket, now) <= 0
            and self._has_room(host, ticket)
            for queue in host.queues.values()
            for ticket in queue.heads()
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
