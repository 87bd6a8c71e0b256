"""The overview of all collectors, for the page and the API. With 10,000 of them it takes some time.
Other work goes on meanwhile, and the result also answers the next requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.control.event_loop import Clock
from reconciler.control.failure_causes import Cause, CauseTally
from reconciler.control.status_board import StatusBoard
from reconciler.model.collector_state import CollectorState, is_stale, state_of
from reconciler.model.status import DestinationAway, HostAway, ShownCollector

_AT_ONCE = 500
"""Collectors that are looked at until others have their turn."""
_SMALL = 1000
"""Collectors up to which a look is not kept when something has changed since."""
_UNCHANGED, _CHANGED = 10.0, 3.0
"""Seconds for which a look is kept at most while nothing changes, and in a large service."""


class Overview(Struct, frozen=True):
    """The result of a look at all collectors. `labels` and `hosts` are counted, `ready` counts the
    statuses of the condition Ready."""

    total: int
    states: Mapping[CollectorState, int]
    ready: Mapping[str, int]
    causes: Sequence[Cause]
    stale: int
    parked: int
    labels: Mapping[str, int]
    hosts: Mapping[str, int]
    hosts_away: Sequence[HostAway]
    destinations_away: Sequence[DestinationAway]


class _OverviewTally:
    """Counts what a look finds, one collector after the other."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._tally = CauseTally(now)
        self._states: Counter[CollectorState] = Counter()
        self._ready: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._hosts_away: dict[tuple[str, int], HostAway] = {}
        self._destinations_away: dict[str, DestinationAway] = {}
        self._stale = self._parked = 0

    def add(self, one: ShownCollector) -> None:
        status = one.status
        self._tally.add(one)
        self._states[state_of(one)] += 1
        self._stale += is_stale(one, self._now)
        self._parked += bool(status.last_session and status.last_session.parked)
        for condition in status.conditions:
            if condition.type == "Ready":
                self._ready[condition.status] += 1
        for label in one.metadata.labels.items():
            self._labels["=".join(label)] += 1
        if host := one.spec.get("source", {}).get("host"):
            self._hosts[host] += 1
        if (host_away := status.host_away) is not None:
            self._hosts_away[host_away.host, host_away.port] = host_away
        if (away := status.destination_away) is not None:
            self._destinations_away[away.destination] = away

    def found(self) -> Overview:
        return Overview(
            self._states.total(),
            self._states,
            self._ready,
            self._tally.causes(),
            self._stale,
            self._parked,
            self._labels,
            self._hosts,
            list(self._hosts_away.values()),
            list(self._destinations_away.values()),
        )


class ServiceOverview:
    """Makes overviews, and keeps the last one for a while."""

    def __init__(self, board: StatusBoard, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._kept: Overview | None = None
        self._version = 0
        """The number of the last change that the look has seen."""
        self._at = 0.0
        self._looking = asyncio.Lock()

    async def current(self) -> Overview:
        """Return the overview. In a large service it is up to three seconds old."""
        found = await self._board.drawn()
        if self._kept is None or not self._serves(self._kept):
            async with self._looking:
                if self._kept is None or not self._serves(self._kept):
                    self._kept = await self._looked(found)
        return self._kept

    def _serves(self, kept: Overview) -> bool:
        age = self._clock.monotonic() - self._at
        is_same = self._version == self._board.events.number
        return age < _UNCHANGED if is_same else kept.total > _SMALL and age < _CHANGED

    async def _looked(self, found: Sequence[ShownCollector]) -> Overview:
        self._version, self._at = self._board.events.number, self._clock.monotonic()
        tally = _OverviewTally(self._clock.now())
        for start in range(0, len(found), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for one in found[start : start + _AT_ONCE]:
                tally.add(one)
        return tally.found()
