"""When the sessions of one collector are due. All times are of the monotonic clock.

its host is away           now: the session waits in the host's queue until one is let in
its destination is away    when admission calls, after an hour in any case
otherwise                  by the interval and the back-off (`collect.cadence`)
"""

from __future__ import annotations

from datetime import datetime

from reconciler.collect.cadence import next_start
from reconciler.control.admission import Admission
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import HOST_REASONS, HostHealth, Outage, SessionTarget
from reconciler.control.loop_backoff import LoopBackoff
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Failure

DESTINATION_TIMEOUT = 3600.0
"""Seconds after which a collector that waits for its destination tries again in any case."""


class DueTimes:
    """Due times of one spec of a collector, whose mail comes from and goes to `target`."""

    __slots__ = ("_admission", "_backoff", "_clock", "target")

    def __init__(
        self, target: SessionTarget, backoff: LoopBackoff, admission: Admission, clock: Clock
    ) -> None:
        self.target = target
        self._backoff = backoff
        self._admission = admission
        self._clock = clock

    def first(self, delay: float) -> float:
        """Return when the first session of this spec is due: after `delay` seconds, or when a
        back-off that was kept for it ends. The admission learns from that back-off the state of the
        host and of the destination before this process."""
        now, retry = self._clock.monotonic(), self._backoff.active
        if retry is not None and retry.reason in HOST_REASONS and self._backoff.seconds_left:
            self.host.recall(Failure(retry.reason, retry.message), now)
            return now + delay
        if retry is not None and retry.reason == DestinationUnavailable.reason:
            failure = Failure(retry.reason, retry.message)
            self._admission.recall_destination(self._name, self.target, failure)
            if self._waits_for_destination:
                return now + DESTINATION_TIMEOUT
            return now + max(delay, self._backoff.seconds_left or 0.0)
        return max(now + delay, next_start(now, 0.0, now, self._backoff.seconds_left))

    def next(self, started: float) -> float:
        """Return when the session after the one that began at `started` is due."""
        now = self._clock.monotonic()
        if self._waits_for_destination:
            return now + DESTINATION_TIMEOUT
        if self._waits_for_host:
            return now
        return next_start(started, self._backoff.interval, now, self._backoff.seconds_left)

    def expected(self, due: float | None) -> datetime | None:
        """Return when the session that is due at `due` can begin, as far as can be told now."""
        if due is None:
            return None
        at, host, destination = self._clock.at, self.host.outage, self.destination_outage
        if destination is not None and self._waits_for_destination:
            return at(destination.next_attempt)
        return at(due) if host is None else max(at(due), at(host.next_attempt))

    @property
    def host(self) -> HostHealth:
        """What is known of the collector's host."""
        return self._admission.host_health(self.target)

    @property
    def destination_outage(self) -> Outage | None:
        """Why the collector's destination is away; None where it is not."""
        return self._admission.destination_health(self.target).outage

    @property
    def _name(self) -> str:
        return self._backoff.collector.name

    @property
    def _waits_for_host(self) -> bool:
        """Whether its host is away: then the back-off is the host's, and admission waits for
        it."""
        return self._backoff.is_shared(self._backoff.recorded) and self.host.away

    @property
    def _waits_for_destination(self) -> bool:
        """Whether admission tells it when its turn comes to try, or the destination is there
        again."""
        return self._admission.waits_for_destination(self._name, self.target)
