"""The states of a loop and the transitions between them; what a loop runs, and what it shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import Enum
from typing import Protocol

from msgspec import Struct

from reconciler.control.host_health import Outage
from reconciler.model.history import Retry
from reconciler.model.outcomes import SessionReport
from reconciler.planning.desired_state import DesiredCollector


class LoopState(Enum):
    """The state of a loop."""

    WAITING = "waiting"
    """A timer is set for the next session."""
    QUEUED = "queued"
    """A session is due and waits for its admission."""
    RUNNING = "running"
    """A session runs. It may have been told to end, or to make room for another spec."""
    QUIET = "quiet"
    """No session may begin for now: somebody works on the account or its history."""
    ENDED = "ended"
    """The loop was stopped and its last session is over. This state is final."""


TRANSITIONS: Mapping[LoopState, Mapping[LoopState, str]] = {
    LoopState.WAITING: {
        LoopState.QUEUED: "the timer fires, new mail is told, or a session is asked for",
        LoopState.QUIET: "a quiet time begins",
        LoopState.ENDED: "the loop is stopped",
    },
    LoopState.QUEUED: {
        LoopState.RUNNING: "the session is admitted",
        LoopState.WAITING: "another time is set, or the host is away and nobody waits any longer",
        LoopState.QUIET: "a quiet time begins",
        LoopState.ENDED: "the loop is stopped",
    },
    LoopState.RUNNING: {
        LoopState.WAITING: "the session is over",
        LoopState.QUIET: "the session is over in a quiet time",
        LoopState.ENDED: "the session is over and the loop was stopped",
    },
    LoopState.QUIET: {
        LoopState.WAITING: "the quiet time is over",
        LoopState.QUEUED: "the quiet time is over and a session was asked for in it",
        LoopState.ENDED: "the loop is stopped",
    },
    LoopState.ENDED: {},
}
"""All transitions, each with its cause. `Loop._enter` makes them and allows no others."""


class IllegalTransition(AssertionError):
    """A transition that the table does not have: a defect of this program."""


def check_transition(before: LoopState, after: LoopState) -> None:
    """Raise IllegalTransition where the table does not have this transition."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(f"a loop cannot go from {before.value} to {after.value}")


class CollectorVersion(Struct, frozen=True):
    """A collector's spec in force, and its generation. `fresh`: messages that were parked under the
    last spec are tried again."""

    collector: DesiredCollector
    generation: int
    fresh: bool = False


class LoopSnapshot(Struct, frozen=True):
    """The visible state of a loop. `awaiting_first`: no session with this spec is over yet."""

    observed_generation: int
    started_at: datetime
    next_session: datetime | None
    state: LoopState
    awaiting_first: bool
    retry: Retry | None
    host_outage: Outage | None = None
    destination_outage: Outage | None = None


class LoopObserver(Protocol):
    """The observer of the loops. All methods are called in the event loop's thread."""

    def changed(self, name: str) -> None:
        """Note that something shown of this collector has changed."""

    def host_changed(self, names: Collection[str]) -> None:
        """Note that the host of these collectors, which is away, is tried again at another time."""

    def progressed(self, name: str, report: SessionReport) -> None:
        """Note the counters of the running session so far."""

    def finished(self, name: str, report: SessionReport) -> None:
        """Note that a session is over."""

    def ended(self, name: str) -> None:
        """Note that a stopped loop has ended its last session."""
