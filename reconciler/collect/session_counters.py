"""The counters of a session while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, field

from reconciler.model.outcomes import Failure, Outcome, SessionReport

NOTES = 20
_LONGEST = 1000


class Tally(Struct):
    """Every listed message is in exactly one of collected, skipped, parked, failed and left: it
    begins in `left`."""

    started_at: datetime
    listed: int = 0
    left: int = 0
    collected: int = 0
    failed: int = 0
    parked: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def collect(self, size: int) -> None:
        self.left -= 1
        self.collected += 1
        self.bytes += size

    def fail(self) -> None:
        self.left -= 1
        self.failed += 1

    def park(self) -> None:
        self.left -= 1
        self.parked += 1

    def skip(self, reason: str) -> None:
        self.left -= 1
        self.skipped[reason] += 1

    def report(
        self, finished_at: datetime, outcome: Outcome, error: Failure | None = None
    ) -> SessionReport:
        return SessionReport(
            self.started_at,
            finished_at,
            outcome,
            listed=self.listed,
            collected=self.collected,
            skipped_reasons=dict(+self.skipped),
            parked=self.parked,
            failed=self.failed,
            left=self.left,
            deleted=self.deleted,
            bytes=self.bytes,
            error=error,
            notes=told(self.notes),
        )


def told(notes: Sequence[str]) -> tuple[str, ...]:
    """As many as people read, and how many more there are: a server can give cause for thousands,
    in each session."""
    more = len(notes) - NOTES
    return (
        *(note[:_LONGEST] for note in notes[:NOTES]),
        *([f"and {more} more notes"] if more > 0 else []),
    )
