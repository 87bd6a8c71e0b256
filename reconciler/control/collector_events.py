"""The last events of each collector since this process started, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.model.status import ShownEvent
from reconciler.planning.reconcile_plan import Hold, Keep, Step

ENTRIES = 20
"""Entries that are kept of a collector."""


class CollectorEvent(Struct, frozen=True):
    """An event at the time `at`. Where the same happened `times` times in a row, `at` is the
    last time. `what` is `start`, `replace`, `stop`, `hold`, `nothing-new`, `collected`,
    `failed`, `interrupted` or `recovered`. `count`: the messages that were collected."""

    at: datetime
    what: str
    reason: str = ""
    count: int = 0
    times: int = 1

    def is_like(self, other: CollectorEvent) -> bool:
        """Return whether both report the same."""
        return (self.what, self.reason) == (other.what, other.reason)


def show_event(entry: CollectorEvent) -> ShownEvent:
    """Return an event as it is shown."""
    return ShownEvent(
        at=entry.at, what=entry.what, reason=entry.reason, count=entry.count, times=entry.times
    )


class CollectorEvents:
    """The events of all collectors."""

    def __init__(self) -> None:
        self._entries: dict[str, deque[CollectorEvent]] = {}
        self._failing: set[str] = set()

    def events(self, name: str) -> Sequence[CollectorEvent]:
        """Return the events of this collector, the newest first."""
        return tuple(reversed(self._entries.get(name, ())))

    def add_step(self, step: Step, at: datetime) -> None:
        """Note a step of a plan that is carried out."""
        if not isinstance(step, Keep):
            what = "hold" if isinstance(step, Hold) else type(step).__name__.lower()
            self._add(step.name, CollectorEvent(at, what, step.reason))

    def add_session(self, name: str, report: SessionReport) -> None:
        """Note a session that is over, and whether the collector recovers with it."""
        at = report.finished_at
        if report.outcome is Outcome.FAILED:
            self._failing.add(name)
            reason = report.error.reason if report.error else ""
            self._add(name, CollectorEvent(at, "failed", reason))
            return
        if report.outcome is Outcome.INTERRUPTED:
            self._add(name, CollectorEvent(at, "interrupted"))
            return
        if name in self._failing:
            self._failing.discard(name)
            self._add(name, CollectorEvent(at, "recovered"))
        what = "collected" if report.collected else "nothing-new"
        self._add(name, CollectorEvent(at, what, count=report.collected))

    def forget(self, name: str) -> None:
        """Drop the events of a collector that is no longer declared."""
        self._entries.pop(name, None)
        self._failing.discard(name)

    def _add(self, name: str, entry: CollectorEvent) -> None:
        entries = self._entries.setdefault(name, deque(maxlen=ENTRIES))
        if entries and entries[-1].is_like(entry):
            last = entries.pop()
            entry = CollectorEvent(
                entry.at, entry.what, entry.reason, entry.count + last.count, last.times + 1
            )
        entries.append(entry)
