"""Messages on their way from the server to the ledger: each is routed and staged, then committed
and recorded in batches.

While one batch is committed in a thread of its own (`collect.batch_commit`), the next one is
staged. Where messages are committed one by one, each is recorded before the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Generic

from reconciler.collect.attempt_records import AttemptRecords
from reconciler.collect.batch_commit import BatchCommit, CommittedBatch, StagedAttempt
from reconciler.collect.incoming_message import IncomingMessage, spool
from reconciler.collect.reidentification import Reidentification
from reconciler.collect.selection import COLLECTED_BEFORE, Attempt
from reconciler.collect.session_context import S, SessionContext
from reconciler.model.errors import (
    CollectorError,
    DestinationUnavailable,
    LedgerUnavailable,
    SourceError,
)
from reconciler.model.messages import Arrival, DeliveryId, Folder, Listed
from reconciler.model.outcomes import Entry, MessageState, Record

BATCH_OCTETS = 8 << 20
"""A batch is committed when this much is staged, or as many messages as the destination takes
together."""
DEFERRALS = 3
"""Fetching ends when this many messages in a row were deferred for every recipient, and for as many
mailboxes. A single mailbox that is full does not hold up the others."""
_SLACK = 1 << 20
"""Octets by which a message may be larger than `SessionTask.max_size`: listed sizes are hints."""


class MessageBatches(Generic[S]):
    """The batches of one session. `folder` is always the folder as the ledger numbers it."""

    def __init__(
        self,
        context: SessionContext[S],
        records: AttemptRecords[S],
        reidentification: Reidentification,
    ) -> None:
        self._context = context
        self._records = records
        self._reidentification = reidentification
        self._commit = BatchCommit(context, records)
        self._under_way: Future[CommittedBatch[S]] | None = None
        self._staged: list[StagedAttempt[S]] = []
        self._staged_octets = 0
        self._recorded: list[Listed] = []
        """Messages that are recorded as collected, and still on the server."""
        self._deferred: list[Sequence[str]] = []
        """The recipients of the messages deferred in a row."""

    def add(self, folder: Folder, attempt: Attempt, arrival: Arrival) -> None:
        """Route and stage a message that has arrived. A failure is recorded; one of the source or
        of the ledger is raised."""
        try:
            self._stage(folder, attempt, arrival)
        except (LedgerUnavailable, SourceError):
            raise
        except DestinationUnavailable as error:
            # no fault of this message; it waits behind new ones
            if not self._context.steering.stopping:
                self._records.undelivered(folder, attempt, MessageState.FAILED, str(error))
            raise
        except CollectorError as error:
            if not self._context.steering.stopping:
                self._records.failed(folder, attempt, str(error))
            raise

    def flush_if_full(self, folder: Folder) -> None:
        """Commit the batch when it is full, while more is fetched if the destination allows it."""
        size = self._context.destination.batch_size
        if len(self._staged) < size and self._staged_octets < BATCH_OCTETS:
            return
        batch = self._next_batch()
        if size > 1:
            self._under_way = self._commit.begin(folder, batch)
        else:
            self._commit_here(folder, batch)

    def finish(self, folder: Folder) -> None:
        """Commit what is staged; nothing is under way afterwards."""
        if batch := self._next_batch():
            self._commit_here(folder, batch)

    def take_recorded(self) -> list[Listed]:
        """Return the messages recorded since the last call: they may be deleted from the server."""
        recorded, self._recorded = self._recorded, []
        return recorded

    def abandon(self) -> None:
        """Remove what is only staged. Another error than the first one is not reported."""
        if self._under_way is not None:
            self._count(self._under_way.result())
        abandoned, self._staged = self._staged, []
        for _ in abandoned:
            self._context.tally.fail()
        try:
            self._context.destination.discard([message.staged for message in abandoned])
        except CollectorError as error:
            self._context.note(f"what was staged is not removed: {error}")

    def close(self) -> None:
        self._commit.close()

    # -- staging

    def _stage(self, folder: Folder, attempt: Attempt, arrival: Arrival) -> None:
        context = self._context
        incoming = IncomingMessage(arrival.content, context.task.max_size + _SLACK)
        routing = context.task.route(incoming.head())
        identified = self._identify(folder, attempt, incoming)
        if identified is None:
            return
        attempt, content = identified
        if routing.parked and not routing.recipients:
            for _ in content:
                pass  # for its fingerprint
            self._records.undelivered(
                folder, attempt, MessageState.PARKED, routing.reason, incoming.fingerprint
            )
            return
        if context.content_keys and attempt.previous and self._must_wait(attempt.previous):
            context.tally.park()
            return
        recipients = [
            found.address for found in routing.recipients if found.address not in attempt.served
        ]
        staged = context.destination.stage(self._delivery_id(folder, attempt), content, recipients)
        message = StagedAttempt(
            attempt,
            staged,
            recipients,
            incoming.fingerprint,
            routing.reason if routing.parked else "",
            arrival.doubt(),
        )
        if _is_known_deleted(message):
            context.destination.discard([staged])
            self._skip_collected(attempt)
        else:
            self._staged.append(message)
            self._staged_octets += staged.size

    def _identify(
        self, folder: Folder, attempt: Attempt, incoming: IncomingMessage
    ) -> tuple[Attempt, Iterable[bytes]] | None:
        """Return the attempt, with what is known of the message by its content where its key does
        not suffice, and the content. None: it was collected before."""
        content: Iterable[bytes] = incoming
        if self._reidentification.needs_content(folder, attempt):
            content = spool(incoming)
            found = self._reidentification.recognise_by_content(
                folder, attempt, incoming.fingerprint
            )
            if isinstance(found, Entry):
                self._skip_collected(attempt, keep=bool(found.reason))
                return None
            attempt = found
        if self._context.content_keys:
            return self._context.content_keys.identify(attempt, incoming)
        return attempt, content

    def _skip_collected(self, attempt: Attempt, *, keep: bool = False) -> None:
        """Count a message that was collected before. It may be deleted, unless the ledger says to
        `keep` it."""
        self._context.tally.skip(COLLECTED_BEFORE)
        if not keep:
            self._recorded.append(attempt.listed)

    def _must_wait(self, previous: Entry) -> bool:
        """Return whether the message is parked or paused, which `selection` cannot know of a server
        without UIDL."""
        return previous.state is MessageState.PARKED or not self._context.is_due(previous)

    def _delivery_id(self, folder: Folder, attempt: Attempt) -> DeliveryId:
        """Return the id under which the delivery began, also where the message has another key
        now: so it is recognised."""
        folder, key = (
            (attempt.origin.folder, attempt.origin.entry.key)
            if attempt.origin
            else (folder, attempt.key)
        )
        context = self._context
        return DeliveryId(context.first_name, context.epoch, folder, key, attempt.occurrence)

    # -- committing

    def _next_batch(self) -> list[StagedAttempt[S]]:
        """Return what is staged, once the batch before it is done."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self._accept(under_way.result())
        batch, self._staged, self._staged_octets = self._staged, [], 0
        return batch

    def _commit_here(self, folder: Folder, batch: Sequence[StagedAttempt[S]]) -> None:
        """Commit in this thread. A message at which a mail system failed waits behind new ones: it
        may be the cause."""
        committed = self._commit.run(folder, batch)
        error = committed.error
        if (
            isinstance(error, DestinationUnavailable)
            and error.at_message
            and not self._context.steering.stopping
        ):
            failed, *committed.staged = committed.staged
            self._context.destination.discard([failed.staged])
            self._records.undelivered(
                folder, failed.attempt, MessageState.FAILED, str(error), failed.fingerprint
            )
        self._accept(committed)

    def _accept(self, committed: CommittedBatch[S]) -> None:
        self._count(committed)
        if committed.error is not None:
            raise committed.error
        self._end_if_all_deferred(committed.recorded)

    def _count(self, committed: CommittedBatch[S]) -> None:
        for message, record in committed.recorded:
            self._records.count(committed.folder, record)
            if record.state is MessageState.COLLECTED and record.reason:
                self._context.note(
                    f"a message is delivered and stays on the server: {record.reason}"
                )
            elif record.state is MessageState.COLLECTED:
                self._recorded.append(message.attempt.listed)
        for _ in range(committed.unrecorded):
            self._context.tally.fail()
        self._staged = committed.staged + self._staged
        if committed.recorded:
            self._context.report_progress()

    def _end_if_all_deferred(self, recorded: Sequence[tuple[StagedAttempt[S], Record]]) -> None:
        single = self._context.task.single
        for message, record in recorded:
            if record.state is not MessageState.FAILED or record.delivered:
                self._deferred = []
                continue
            self._deferred.append(message.recipients)
            mailboxes = {address for recipients in self._deferred for address in recipients}
            if len(self._deferred) >= DEFERRALS and len(mailboxes) >= (1 if single else DEFERRALS):
                error = DestinationUnavailable(
                    f"the destination takes nothing now, fetching ends: {record.reason}",
                    retry_after=record.wait,
                )
                error.of_one = single
                raise error


def _is_known_deleted(message: StagedAttempt[S]) -> bool:
    """Return whether the server lists the same message again after it confirmed its deletion."""
    previous = message.attempt.previous
    return (
        previous is not None
        and previous.deleted
        and previous.content == message.fingerprint.content
    )
