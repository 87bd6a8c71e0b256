"""What a loop is to run, what can be seen of it, and who looks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from reconciler.control.host_health import Outage
from reconciler.model.history import Retry
from reconciler.model.outcomes import SessionReport
from reconciler.planning.desired_state import DesiredCollector


class CollectorVersion(Struct, frozen=True):
    """A collector's spec in force, and its generation. `fresh`: what was parked under the last one
    is tried again."""

    collector: DesiredCollector
    generation: int
    fresh: bool = False


class LoopSnapshot(Struct, frozen=True):
    """What can be seen of a loop. `awaiting_first`: this version has not finished a session yet."""

    observed_generation: int
    started_at: datetime
    next_session: datetime | None
    running: bool
    awaiting_first: bool
    retry: Retry | None
    cause: Outage | None = None
    """Its host is away."""
    destination: Outage | None = None
    """Its destination is."""


class LoopObserver(Protocol):
    """Who wants to know what the loops do; called in the event loop's thread."""

    def changed(self, name: str) -> None:
        """Something that is shown of this collector changed."""

    def host_changed(self, names: Collection[str]) -> None:
        """Something that is shown of all of these changed: when their host is tried again."""

    def progressed(self, name: str, report: SessionReport) -> None:
        """Its session tells its counters so far."""

    def finished(self, name: str, report: SessionReport) -> None:
        """A session is over."""

    def ended(self, name: str) -> None:
        """The loop was stopped, and its last session is over."""
