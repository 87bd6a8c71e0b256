"""The second half of a batch: recorded as begun, committed to its destination, recorded in the
ledger, settled.

It may run in a thread of its own, one batch at a time, while the session stages the next one. The
order of the four is what keeps mail safe; nothing here deletes from the server: the session does,
once it has the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.selection import Attempt
from reconciler.collect.suspects import undelivered
from reconciler.model.errors import CollectorError
from reconciler.model.interfaces import Ledger, MailDestination, Staged
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import (
    Adoption,
    Deferred,
    Delivered,
    DeliveryOutcome,
    MessageState,
    Record,
    Refused,
)

S = TypeVar("S", bound=Staged)


class Pending(Generic[S], Struct, frozen=True):
    """A message staged at the destination, not yet committed."""

    attempt: Attempt
    staged: S
    recipients: Sequence[str]
    fingerprint: Fingerprint
    unroutable: str
    """Why somebody's copy can go nowhere; the others get theirs."""
    doubt: str
    """Why the message must stay on the server although it is delivered (`Arrival.doubt`)."""


class Committed(Generic[S], Struct):
    """What became of a batch; each of its messages is in one of the first three."""

    folder: Folder
    recorded: list[tuple[Pending[S], Record]] = field(default_factory=list)
    unrecorded: int = 0
    """Delivered, but the ledger failed: the next session finds and adopts them."""
    staged: list[Pending[S]] = field(default_factory=list)
    """Not delivered, because the destination failed."""
    error: CollectorError | None = None


class Commits(Generic[S]):
    """Of one session."""

    def __init__(
        self,
        collector: str,
        destination: MailDestination[S],
        ledger: Ledger,
        adopt: Callable[[Folder, Adoption], None],
        now: Callable[[], datetime],
    ) -> None:
        """`adopt` moves what is known of a message under another key to where it is now."""
        self._collector = collector
        self._destination = destination
        self._ledger = ledger
        self._adopt = adopt
        self._now = now
        self._thread: ThreadPoolExecutor | None = None

    def begin(
        self, folder: Folder, pending: Sequence[Pending[S]], *, named: bool
    ) -> Future[Committed[S]]:
        """`run` in another thread; in this one where the system gives no more (hazard R1). The
        batch before must be done."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        try:
            return self._thread.submit(self.run, folder, pending, named=named)
        except RuntimeError:
            self._thread.shutdown(
                wait=False, cancel_futures=True
            )  # it is in the queue all the same
            self._thread = None
        done: Future[Committed[S]] = Future()
        done.set_result(self.run(folder, pending, named=named))
        return done

    def run(self, folder: Folder, pending: Sequence[Pending[S]], *, named: bool) -> Committed[S]:
        """Commit, record and settle, each after the one before it is durable; never raises a
        CollectorError. `named`: the messages have keys of the server, under which they are recorded
        as begun before anything."""
        waiting = iter(pending)
        result: Committed[S] = Committed(folder)
        delivered: list[tuple[Pending[S], Record]] = []
        try:
            if named:
                self._announce(folder, pending)
            for _, outcomes in self._destination.commit([message.staged for message in pending]):
                message = next(waiting)
                delivered.append((message, _record(message, outcomes)))
        except CollectorError as error:
            result.error = error
        result.staged = list(waiting)
        if delivered:
            self._record(folder, delivered, result)
        return result

    def write(self, folder: Folder, records: Sequence[tuple[Attempt, Record]]) -> None:
        """What began under another key is recorded there, then moves: a crash in between leaves an
        orphan as before."""
        records = [(attempt, _presuming(attempt, record)) for attempt, record in records]
        here = [record for attempt, record in records if attempt.origin is None]
        self._ledger.record(self._collector, folder, here, self._now())
        for attempt, record in records:
            if origin := attempt.origin:
                elsewhere = replace(record, key=origin.entry.key)
                self._ledger.record(self._collector, origin.folder, [elsewhere], self._now())
                self._adopt(folder, Adoption(origin, attempt.key, record.state))

    def close(self) -> None:
        """Wait for the batch under way."""
        if self._thread is not None:
            self._thread.shutdown()

    def _announce(self, folder: Folder, pending: Sequence[Pending[S]]) -> None:
        """Recorded as begun, they are recognised even if a crash comes, and the server then
        renumbers: in a Maildir by their files, by LMTP and SMTP by their X-Collector-Id. Where that
        cannot be recorded, nothing is delivered."""
        begun = [_record(message, ()) for message in pending if message.attempt.origin is None]
        self._ledger.record(
            self._collector,
            folder,
            [replace(record, state=MessageState.BEGUN, reason="") for record in begun],
            self._now(),
        )

    def _record(
        self, folder: Folder, delivered: list[tuple[Pending[S], Record]], result: Committed[S]
    ) -> None:
        try:
            self.write(folder, [(message.attempt, record) for message, record in delivered])
        except CollectorError as error:
            result.unrecorded, result.error = len(delivered), error
            return
        result.recorded = delivered
        try:
            self._destination.settle([message.staged for message, _ in delivered])
        except CollectorError as error:
            result.error = result.error or error


def _presuming(attempt: Attempt, record: Record) -> Record:
    """Where others bear the same UIDL, a later session must not delete by that alone (hazard
    P2)."""
    if attempt.listed.ambiguous and record.state is MessageState.COLLECTED:
        return replace(record, state=MessageState.PRESUMED)
    return record


def _record(message: Pending[S], outcomes: Sequence[DeliveryOutcome]) -> Record:
    """What is known of a message after delivery: put off for one recipient, it is tried again for
    that one."""
    delivered = tuple(outcome for outcome in outcomes if isinstance(outcome, Delivered))
    put_off = [outcome for outcome in outcomes if isinstance(outcome, Deferred)]
    deferred = [f"{outcome.recipient}: {outcome.reason}" for outcome in put_off]
    refused = [
        f"{outcome.recipient}: {outcome.reason}"
        for outcome in outcomes
        if isinstance(outcome, Refused)
    ]
    if message.unroutable:
        refused.append(message.unroutable)
    attempts = 1 + (message.attempt.previous.attempts if message.attempt.previous else 0)
    unsure = any(outcome.unsure for outcome in put_off)
    wait = max((outcome.wait for outcome in put_off if outcome.wait), default=None)
    state = (
        undelivered(attempts, unsure=unsure)
        if deferred
        else MessageState.PARKED
        if refused
        else MessageState.COLLECTED
    )
    return Record(
        message.attempt.key,
        state,
        message.staged.size,
        message.attempt.occurrence,
        message.fingerprint,
        delivered,
        "; ".join(deferred + refused) or message.doubt,
        wait=wait,
    )
