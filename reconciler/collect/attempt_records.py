"""Record the result of each attempt in the ledger, count it, and note failures for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic

from msgspec.structs import replace

from reconciler.collect.reidentification import Reidentification
from reconciler.collect.retry_rules import ATTEMPTS
from reconciler.collect.selection import COLLECTED_BEFORE, Attempt
from reconciler.collect.session_context import S, SessionContext
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import Adoption, MessageState, Record

_KEPT_STATES = (
    MessageState.PRESUMED,
    MessageState.SUSPECT,
    MessageState.UNFETCHED,
    MessageState.PAUSED,
)
"""States that a new suspicion does not replace."""


class AttemptRecords(Generic[S]):
    """Records the results of one session's attempts. `folder` is always the folder as the ledger
    numbers it."""

    def __init__(self, context: SessionContext[S], reidentification: Reidentification) -> None:
        self._context = context
        self._reidentification = reidentification

    def write(self, folder: Folder, records: Sequence[tuple[Attempt, Record]]) -> None:
        """Write the records to the ledger. If a message's delivery began under another key, it is
        recorded there and then moved. A crash in between leaves an orphan as before."""
        ledger, collector = self._context.ledger, self._context.task.collector
        records = [
            (attempt, _presumed_if_ambiguous(attempt, record)) for attempt, record in records
        ]
        here = [record for attempt, record in records if attempt.origin is None]
        ledger.record(collector, folder, here, self._context.now())
        for attempt, record in records:
            if origin := attempt.origin:
                elsewhere = replace(record, key=origin.entry.key)
                ledger.record(collector, origin.folder, [elsewhere], self._context.now())
                self._reidentification.adopt(folder, Adoption(origin, attempt.key, record.state))

    def count(self, folder: Folder, record: Record) -> None:
        """Count a record that was written; a failure is also noted."""
        tally = self._context.tally
        match record.state:
            case MessageState.COLLECTED:
                tally.collect(record.size)
            case MessageState.PARKED | MessageState.PAUSED:
                tally.park()
            case MessageState.FAILED | MessageState.UNFETCHED | MessageState.SUSPECT:
                tally.fail()
        if record.reason and record.state in (MessageState.FAILED, MessageState.UNFETCHED):
            where = f"{folder.name} " if folder.name else ""
            self._context.note(f"{where}{record.key}: {record.reason}")

    def undelivered(
        self,
        folder: Folder,
        attempt: Attempt,
        state: MessageState,
        reason: str,
        fingerprint: Fingerprint | None = None,
    ) -> None:
        """Record and count a message that was not delivered. If the server has no keys, and none
        was made, it cannot be recorded beyond this session."""
        record = Record(
            attempt.key,
            state,
            attempt.listed.size or 0,
            attempt.occurrence,
            fingerprint,
            reason=reason,
            counted=state is MessageState.SUSPECT,
        )
        if self._context.content_keys is None or attempt.content_key:
            self.write(folder, [(attempt, record)])
        self.count(folder, record)

    def failed(self, folder: Folder, attempt: Attempt, reason: str) -> None:
        """Record a failed attempt: the message is tried again, and parked after `ATTEMPTS`."""
        if attempt.is_presumed:
            # it could not be compared, so it stays where it is
            self._context.tally.skip(COLLECTED_BEFORE)
        elif attempt.number >= ATTEMPTS:
            reason = f"given up after {attempt.number} attempts: {reason}"
            self.undelivered(folder, attempt, MessageState.PARKED, reason)
        else:
            self.undelivered(folder, attempt, MessageState.FAILED, reason)

    def suspected(self, folder: Folder, suspects: Iterable[tuple[Attempt, str]]) -> None:
        """Record that a message may have ended a connection, so that the next session asks for it
        alone. The reason is given where others came and this one did not
        (`retry_rules.is_proven`)."""
        records = [
            (
                attempt,
                Record(
                    attempt.key,
                    MessageState.SUSPECT,
                    attempt.listed.size or 0,
                    attempt.occurrence,
                    reason=reason,
                ),
            )
            for attempt, reason in suspects
            if self._context.content_keys is None
            and attempt.origin is None
            and (attempt.previous is None or attempt.previous.state not in _KEPT_STATES)
        ]
        self.write(folder, records)


def _presumed_if_ambiguous(attempt: Attempt, record: Record) -> Record:
    """Return the record to write. If other messages have the same UIDL, a later session must not
    delete by the UIDL alone (hazard P2)."""
    if attempt.listed.ambiguous and record.state is MessageState.COLLECTED:
        return replace(record, state=MessageState.PRESUMED)
    return record
