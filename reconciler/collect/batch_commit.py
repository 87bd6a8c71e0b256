"""The second half of a batch: record its messages as begun, commit them at the destination, record
them in the ledger, settle them.

The order of the four keeps mail safe. Nothing here deletes from the server: the session does, once
it has the result. The four may run in a thread of their own, one batch at a time, while the session
stages the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.attempt_records import AttemptRecords
from reconciler.collect.retry_rules import state_after_deferral
from reconciler.collect.selection import Attempt
from reconciler.collect.session_context import S, SessionContext
from reconciler.model.errors import CollectorError
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import (
    Deferred,
    Delivered,
    DeliveryOutcome,
    MessageState,
    Record,
    Refused,
)


class StagedAttempt(Struct, Generic[S], frozen=True):
    """An attempt whose message is staged at the destination and not yet committed."""

    attempt: Attempt
    staged: S
    recipients: Sequence[str]
    fingerprint: Fingerprint
    unroutable: str
    """Why one recipient's copy can go nowhere; the others get theirs."""
    doubt: str
    """Why the message must stay on the server although it is delivered (`Arrival.doubt`)."""


class CommittedBatch(Struct, Generic[S]):
    """The result of a batch. Each of its messages is in `recorded`, `unrecorded` or `staged`."""

    folder: Folder
    recorded: list[tuple[StagedAttempt[S], Record]] = field(default_factory=list)
    unrecorded: int = 0
    """The number of messages that were delivered and not recorded, because the ledger failed. The
    next session finds and adopts them."""
    staged: list[StagedAttempt[S]] = field(default_factory=list)
    """Messages that were not delivered, because the destination failed."""
    error: CollectorError | None = None


class BatchCommit(Generic[S]):
    """Commits the batches of one session."""

    def __init__(self, context: SessionContext[S], records: AttemptRecords[S]) -> None:
        self._context = context
        self._records = records
        self._thread: ThreadPoolExecutor | None = None

    def begin(self, folder: Folder, batch: Sequence[StagedAttempt[S]]) -> Future[CommittedBatch[S]]:
        """Start `run` in another thread; run it in this one where the system gives no more threads
        (hazard R1). The batch before must be done."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        try:
            return self._thread.submit(self.run, folder, batch)
        except RuntimeError:
            # the work is queued all the same
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
        done: Future[CommittedBatch[S]] = Future()
        done.set_result(self.run(folder, batch))
        return done

    def run(self, folder: Folder, batch: Sequence[StagedAttempt[S]]) -> CommittedBatch[S]:
        """Commit, record and settle, each after the step before it is durable. Never raises a
        CollectorError: the result has it."""
        waiting = iter(batch)
        result: CommittedBatch[S] = CommittedBatch(folder)
        delivered: list[tuple[StagedAttempt[S], Record]] = []
        try:
            if self._context.content_keys is None:
                self._record_begun(folder, batch)
            destination = self._context.destination
            for _, outcomes in destination.commit([message.staged for message in batch]):
                message = next(waiting)
                delivered.append((message, _record(message, outcomes)))
        except CollectorError as error:
            result.error = error
        result.staged = list(waiting)
        if delivered:
            self._record(folder, delivered, result)
        return result

    def close(self) -> None:
        """Wait for the batch under way."""
        if self._thread is not None:
            self._thread.shutdown()

    def _record_begun(self, folder: Folder, batch: Sequence[StagedAttempt[S]]) -> None:
        """Record the messages as begun. So they are recognised even after a crash and a
        renumbering: in a Maildir by their files, by LMTP and SMTP by their X-Collector-Id. Where
        this cannot be recorded, nothing is delivered."""
        begun = [_record(message, ()) for message in batch if message.attempt.origin is None]
        self._context.ledger.record(
            self._context.task.collector,
            folder,
            [replace(record, state=MessageState.BEGUN, reason="") for record in begun],
            self._context.now(),
        )

    def _record(
        self,
        folder: Folder,
        delivered: list[tuple[StagedAttempt[S], Record]],
        result: CommittedBatch[S],
    ) -> None:
        try:
            self._records.write(
                folder, [(message.attempt, record) for message, record in delivered]
            )
        except CollectorError as error:
            result.unrecorded, result.error = len(delivered), error
            return
        result.recorded = delivered
        try:
            self._context.destination.settle([message.staged for message, _ in delivered])
        except CollectorError as error:
            result.error = result.error or error


def _record(message: StagedAttempt[S], outcomes: Sequence[DeliveryOutcome]) -> Record:
    """Return what the ledger keeps of a message after delivery. A message that one recipient
    deferred is tried again for that one."""
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
    unsure = any(outcome.unsure for outcome in put_off)
    wait = max((outcome.wait for outcome in put_off if outcome.wait), default=None)
    state = (
        state_after_deferral(message.attempt.number, unsure=unsure)
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
