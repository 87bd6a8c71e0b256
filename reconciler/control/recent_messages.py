"""Counts of the messages that each collector has collected in each of the last 24 hours, in
memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from reconciler.model.history import CollectedCount

HOURS = 24
SPAN = timedelta(hours=HOURS)
_NOTHING: Sequence[int] = (0,) * HOURS


class _Hours:
    """The counts of one collector. Hour N since 1970 is at index N modulo 24; `latest` is the
    newest one that is counted."""

    __slots__ = ("counts", "latest")

    def __init__(self, latest: int) -> None:
        self.counts = array("L", _NOTHING)
        self.latest = latest

    def add(self, hour: int, count: int) -> None:
        if hour > self.latest:
            for passed in range(max(self.latest + 1, hour - HOURS + 1), hour + 1):
                self.counts[passed % HOURS] = 0
            self.latest = hour
        if hour > self.latest - HOURS:
            self.counts[hour % HOURS] += count

    def until(self, hour: int) -> Sequence[int]:
        oldest = self.latest - HOURS
        return [
            self.counts[one % HOURS] if oldest < one <= self.latest else 0
            for one in range(hour - HOURS + 1, hour + 1)
        ]

    def total(self, hour: int) -> int:
        return sum(self.counts if hour == self.latest else self.until(hour))


class RecentMessages:
    """The counts by hour. A collector without mail takes no room."""

    def __init__(self) -> None:
        self._hours: dict[str, _Hours] = {}

    def recall(self, sessions: Iterable[CollectedCount]) -> None:
        """Add the counts of earlier processes, from the ledger."""
        for session in sessions:
            self.add(session.name, session.at, session.collected)

    def add(self, name: str, at: datetime, collected: int) -> None:
        """Count the messages of a session."""
        if collected > 0:
            hour = _hour(at)
            self._hours.setdefault(name, _Hours(hour)).add(hour, collected)

    def forget(self, name: str) -> None:
        self._hours.pop(name, None)

    def hours(self, name: str, now: datetime) -> Sequence[int]:
        """Return the messages of each of the last 24 hours, the oldest first; the last one is the
        present hour."""
        found = self._hours.get(name)
        return found.until(_hour(now)) if found else _NOTHING

    def total(self, now: datetime) -> int:
        """Return the messages of all collectors in these hours."""
        hour = _hour(now)
        return sum(found.total(hour) for found in self._hours.values())


def _hour(moment: datetime) -> int:
    return int(moment.timestamp() // 3600)
