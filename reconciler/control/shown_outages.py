"""Outages as they are shown: one object for all collectors that wait for the same thing."""

from __future__ import annotations

from functools import lru_cache

from reconciler.control.event_loop import Clock
from reconciler.control.host_health import Outage
from reconciler.model.status import DestinationAway, HostAway

_KEPT = 500
"""Outages that are remembered as they are shown."""


class ShownOutages:
    """Shows outages. Thousands of collectors may wait for one host, and each shows why."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.host = lru_cache(_KEPT)(self._host)
        self.destination = lru_cache(_KEPT)(self._destination)

    def _host(self, cause: Outage | None) -> HostAway | None:
        return (
            None
            if cause is None
            else HostAway(
                host=cause.host,
                port=cause.port,
                reason=cause.reason,
                message=cause.message,
                since=self._clock.at(cause.since),
                next_attempt=self._clock.at(cause.next_attempt),
                concerns=cause.concerns,
            )
        )

    def _destination(self, cause: Outage | None) -> DestinationAway | None:
        return (
            None
            if cause is None
            else DestinationAway(
                destination=cause.host,
                reason=cause.reason,
                message=cause.message,
                since=self._clock.at(cause.since),
                next_attempt=self._clock.at(cause.next_attempt),
                concerns=cause.concerns,
            )
        )
