"""What became of a message, of a delivery, and of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from reconciler.model.errors import CollectorError
from reconciler.model.messages import Fingerprint, Folder


class Delivered(Struct, frozen=True):
    """The message is durable at the destination for this recipient. `name` is the file's name or
    the receiver's id."""

    recipient: str
    name: str


class Deferred(Struct, frozen=True):
    """To be tried again for this recipient (LMTP/SMTP 4xx, a full disk for one mailbox). `unsure`:
    the receiver may have the message, for it took it and did not answer. `wait`: seconds that the
    receiver asks us to wait."""

    recipient: str
    reason: str
    unsure: bool = False
    wait: float | None = None


class Refused(Struct, frozen=True):
    """This recipient is refused for good (LMTP/SMTP 5xx). `unknown`: because no such mailbox
    exists."""

    recipient: str
    reason: str
    unknown: bool = False


DeliveryOutcome = Delivered | Deferred | Refused


class MessageState(StrEnum):
    """What the ledger remembers of a message."""

    COLLECTED = "collected"
    """Durable at the destination for every recipient."""
    FAILED = "failed"
    """Attempted, to be retried: it counts as a retry towards the next session's limit."""
    PARKED = "parked"
    """Stays on the server until the manifest or the destination changes."""
    BEGUN = "begun"
    """Its delivery has begun, and it is unknown whether it was completed: it is repeated, under the
    same name."""
    PRESUMED = "presumed"
    """Collected, but its key does not prove that: it was collected under another key, judging by
    the headers alone, or is one of several messages with the same UIDL. Its content is compared
    before it is deleted."""
    LISTED = "listed"
    """Only its headers were fetched, to find out whether it was collected under another key. It was
    not."""
    SUSPECT = "suspect"
    """It was asked for when a fetch broke down, and may be the cause. From now on it is asked for
    alone, after all others. No attempt is counted."""
    UNFETCHED = "unfetched"
    """The server failed to give it when it was asked for alone; it is retried alone."""
    PAUSED = "paused"
    """Parked for a while, because the connection was lost each time, which may be the network's
    fault: tried again after a pause that grows. The connection to the source, or to the receiver,
    which may have taken the message."""


class Record(Struct, frozen=True):
    """One line for the ledger about one message, written after its batch is durable and before
    anything is deleted."""

    key: str
    state: MessageState
    size: int
    occurrence: int = 0
    fingerprint: Fingerprint | None = None
    delivered: tuple[Delivered, ...] = ()
    reason: str = ""
    counted: bool = False
    """It counts as an attempt, although its state does not say so."""
    wait: float | None = None
    """Seconds that a receiver asked us to wait with this message."""


class Entry(Struct, frozen=True):
    """What the ledger knows of a listed message, in the current epoch."""

    key: str
    state: MessageState
    occurrence: int = 0
    attempts: int = 0
    delivered: frozenset[str] = frozenset()
    """Recipients who have it already; loaded for messages that are not collected yet."""
    deleted: bool = False
    """The server confirmed its deletion; it may be listed again all the same."""
    content: str = ""
    """Digest of the content (`Fingerprint.content`); loaded where `deleted` is true or the state is
    not COLLECTED."""
    header: str = ""
    """Digest of the headers; loaded where the state is LISTED."""
    reason: str = ""
    """Why it failed or is parked; of a collected one, why it must not be deleted from the
    server."""
    at: datetime | None = None
    """When that was recorded; loaded where the state is PAUSED, or `wait` is given."""
    wait: float | None = None
    """Seconds from then that a receiver asked us to wait with this message."""


class Orphan(Struct, frozen=True):
    """What the ledger knows of a message in a folder that is no longer listed, because the account
    changed or the server renumbered. `number` identifies the record; `entry.delivered` is
    loaded."""

    number: int
    folder: Folder
    entry: Entry
    fingerprint: Fingerprint


class Adoption(Struct, frozen=True):
    """The move of a record to the key that its message has now."""

    orphan: Orphan
    key: str
    state: MessageState


class Outcome(StrEnum):
    """How a session ended."""

    RUNNING = "running"
    """It has not ended yet."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Stopped on purpose: shutdown, or the manifest changed."""


class Failure(Struct, frozen=True):
    """Why a session failed: `reason` is an error class's condition reason, `message` a redacted
    sentence."""

    reason: str
    message: str
    retry_after: float | None = None
    """Seconds that the server asked us to wait."""
    advice: str = ""
    """What a person can do about it, where that is known; `message` has it too."""
    of_address: bool = False
    """As of `SourceError`. Not kept in the ledger."""
    of_one: bool = False
    """As of `DestinationUnavailable`. Not kept in the ledger."""

    @classmethod
    def of(cls, error: CollectorError) -> Failure:
        """Return what is reported about an error."""
        return cls(
            error.reason,
            str(error),
            getattr(error, "retry_after", None),
            getattr(error, "advice", ""),
            getattr(error, "of_address", False),
            getattr(error, "of_one", False),
        )


class SessionReport(Struct, frozen=True):
    """The counters of one session; times are UTC.

    `listed = collected + skipped + parked + failed + left` always holds.
    """

    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    listed: int = 0
    collected: int = 0
    skipped_reasons: Mapping[str, int] = field(default_factory=dict)
    """collected-before | too-large | vanished, each with its count."""
    parked: int = 0
    failed: int = 0
    left: int = 0
    deleted: int = 0
    bytes: int = 0
    """Octets of the messages collected, as delivered."""
    error: Failure | None = None
    notes: tuple[str, ...] = ()
    """What is worth a line in the log and no failure, such as refused deletes, or a folder that
    does not exist."""
    token_expires_at: datetime | None = None
    """When the access token of the login expires. Not kept in the ledger, as the token is not
    either."""

    @property
    def skipped(self) -> int:
        return sum(self.skipped_reasons.values())


class Cleared(Struct, frozen=True):
    """What clearing a collector's history did: `epoch` is the one that begins, `forgotten` counts
    the messages that were remembered until then."""

    epoch: int
    forgotten: int


@dataclass(frozen=True, slots=True)  # no Struct: pydantic shows it
class Totals:
    """The counters of all sessions of a collector, added up."""

    sessions: int = 0
    collected: int = 0
    failed: int = 0
    deleted: int = 0
    bytes: int = 0

    def with_one_more(self, report: SessionReport) -> Totals:
        return Totals(
            self.sessions + 1,
            self.collected + report.collected,
            self.failed + report.failed,
            self.deleted + report.deleted,
            self.bytes + report.bytes,
        )
