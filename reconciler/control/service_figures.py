"""Counters and measurements of this process since its start, for `/metrics`.

They are recorded where things happen, so that drawing is cheap. All of this belongs to the event
loop's thread.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import accumulate

from reconciler.model.outcomes import SessionReport

LAG_PERIOD = 1.0
"""Seconds between two measurements of the event loop's lag."""
OTHER_REASON = "Other"
_MOST_REASONS = 64
"""Reasons of failures that are counted by their own names. They are words of this program, so there
are never that many."""
_SHORT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MESSAGES = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 10000)


class Distribution:
    """A histogram: how many values lie up to each bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Collection[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return each bound, infinity at last, with the number of values up to it."""
        return list(zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True))

    def copied(self) -> Distribution:
        other = Distribution(self._bounds)
        other._counts, other.sum = self._counts.copy(), self.sum
        return other


class ServiceFigures:
    """The counters and histograms. Providers are `model.provider_classes`."""

    def __init__(self) -> None:
        self.session_seconds: dict[tuple[str, str], Distribution] = {}
        """The duration of sessions in seconds, by provider and outcome."""
        self.session_messages: dict[str, Distribution] = {}
        """Messages that a session collected, by provider."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """Failed sessions, by provider and reason."""
        self.messages: Counter[tuple[str, str]] = Counter()
        """The number of messages, by provider and result."""
        self.received_bytes: Counter[str] = Counter()
        """The received bytes, by provider."""
        self.start_delays = Distribution(_LONG)
        self.loop_lag = Distribution(_SHORT)
        self.turn_seconds = Distribution(_SHORT)
        self.turn_lateness = Distribution(_SHORT)
        self.failed_turns = 0
        self.plan_steps: Counter[str] = Counter()
        """The number of changes of the running collectors, by type of step."""
        self._reasons: set[str] = set()

    def session(self, provider: str, report: SessionReport) -> None:
        """Count a session that is over."""
        seconds = max(0.0, (report.finished_at - report.started_at).total_seconds())
        key = provider, report.outcome.value
        self.session_seconds.setdefault(key, Distribution(_LONG)).add(seconds)
        self.session_messages.setdefault(provider, Distribution(_MESSAGES)).add(report.collected)
        for result in ("collected", "failed", "deleted"):
            self.messages[provider, result] += getattr(report, result)
        self.received_bytes[provider] += report.bytes
        if report.error is not None:
            self.failures[provider, self._bounded(report.error.reason)] += 1

    def turn(self, late: float, seconds: float, *, failed: bool) -> None:
        """Count a turn of the control loop. `late`: seconds from when it was due to its begin."""
        self.turn_lateness.add(max(0.0, late))
        self.turn_seconds.add(seconds)
        self.failed_turns += failed

    def applied(self, actions: Iterable[str]) -> None:
        """Count steps of a plan that was carried out."""
        self.plan_steps.update(actions)

    def copied(self) -> ServiceFigures:
        """Return a copy, to be read in another thread."""
        other = ServiceFigures()
        for name, value in vars(self).items():
            setattr(other, name, _copied(value))
        return other

    def _bounded(self, reason: str) -> str:
        if reason not in self._reasons:
            if len(self._reasons) >= _MOST_REASONS:
                return OTHER_REASON
            self._reasons.add(reason)
        return reason


def _copied(value: object) -> object:
    if isinstance(value, Distribution):
        return value.copied()
    if isinstance(value, Counter | set):
        return value.copy()
    if isinstance(value, dict):
        return {key: found.copied() for key, found in value.items()}
    return value


async def measure_lag(figures: ServiceFigures, period: float = LAG_PERIOD) -> None:
    """Measure how late the event loop wakes a task that sleeps. Ends only when it is cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + period
        await asyncio.sleep(period)
        figures.loop_lag.add(max(0.0, clock() - due))
