"""The state that the parts of one session share: the task, the adapters, the counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct, field

from reconciler.collect.message_identity import ContentKeys
from reconciler.collect.retry_rules import is_due, may_be_delivered
from reconciler.model.errors import SourceError, Stopped
from reconciler.model.interfaces import Ledger, MailDestination, Source, Staged
from reconciler.model.outcomes import Entry, Failure, Outcome, SessionReport
from reconciler.model.routing_answer import Routing

NOTES = 20
"""Notes of a session that are shown."""
_LONGEST_NOTE = 1000

S = TypeVar("S", bound=Staged)


class SessionTask(Struct, frozen=True):
    """What a session is to do; `limit` in messages (0: all), `max_size` in octets."""

    collector: str
    mode: Literal["all-delete", "new-delete", "new-keep"]
    limit: int
    max_size: int
    route: Callable[[bytes], Routing]
    """Takes the head of a message; returns its recipients."""
    single: bool = True
    """Whether all mail goes to one mailbox. If that takes no mail, there is nothing else to do."""
    digest: str = ""
    """The digest of everything in the spec that a session depends on. "" makes every session list
    anew."""

    @property
    def deletes(self) -> bool:
        return self.mode != "new-keep"


class Steering(Protocol):
    """The controls by which a session is watched and stopped from outside."""

    @property
    def stopping(self) -> bool:
        """Finish the message in hand, then end."""

    @property
    def ignores_pauses(self) -> bool:
        """Whether paused messages are tried now, unless a server asked for the pause.

        True where somebody asked for this session, or it is the only one of its process.
        """

    @property
    def repeats_unanswered(self) -> bool:
        """Whether messages that a receiver may have taken without an answer are sent again now.

        True where somebody asked for this very session, and accepts copies.
        """

    def another_login(self) -> None:
        """Note that the session is about to log in once more."""

    def progress(self, report: SessionReport) -> None: ...


class Tally(Struct):
    """The counters of a session while it runs. Every listed message is in exactly one of collected,
    skipped, parked, failed and left; it begins in `left`."""

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
            notes=shown_notes(self.notes),
        )


def shown_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes, and how many more there are: a server can give cause for thousands in
    each session."""
    more = len(notes) - NOTES
    return (
        *(note[:_LONGEST_NOTE] for note in notes[:NOTES]),
        *([f"and {more} more notes"] if more > 0 else []),
    )


class SessionContext(Struct, Generic[S]):
    """The task, the adapters and the counters of one session. Its parts change the tally; the rest
    is set once, by `AccountListing`."""

    task: SessionTask
    source: Source
    destination: MailDestination[S]
    ledger: Ledger
    steering: Steering
    now: Callable[[], datetime]
    tally: Tally
    first_name: str = ""
    epoch: int = 0
    """Deliveries are named after `first_name` and `epoch` (`Ledger.identity`)."""
    content_keys: ContentKeys | None = None
    """Keys made from the content, for a server without UIDL. None if the server's keys are
    permanent."""

    def note(self, text: str) -> None:
        self.tally.notes.append(text)

    def check_stop(self) -> None:
        """Raise Stopped when the session is told to stop."""
        if self.steering.stopping:
            raise Stopped("told to stop")

    def report_progress(self) -> None:
        self.steering.progress(self.tally.report(self.now(), Outcome.RUNNING))

    def is_due(self, entry: Entry) -> bool:
        """Return whether a message that was paused, or is to wait, may be tried now."""
        ignores_pause = (
            self.steering.repeats_unanswered
            if may_be_delivered(entry)
            else self.steering.ignores_pauses
        )
        return (ignores_pause and entry.wait is None) or is_due(entry, self.now())


class FetchProgress(Struct):
    """The progress of a session's fetching, over all its folders and connections."""

    only_attempt: bool = False
    """Whether there is a single message to attempt, so that no other one can prove that the server
    works."""
    arrived: int = 0
    """The number of messages that came."""
    lost_again: int = 0
    """The number of connections that were lost when a message that had failed before was requested
    alone."""
    trouble: SourceError | None = None
    """The error with which the session fails unless a message comes."""
