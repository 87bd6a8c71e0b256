"""The results for messages, deliveries and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from reconciler.model.errors import CollectorError
from reconciler.model.messages import Fingerprint, Folder


class Delivered(Struct, frozen=True):
    """The message is durable at the destination for this recipient. `name` is the name of the file
    or the receiver's id."""

    recipient: str
    name: str


class Deferred(Struct, frozen=True):
    """The delivery to this recipient must be repeated (LMTP/SMTP 4xx, a mailbox with a full disk).

    `unsure` means that the receiver may have the message, because it was sent but not answered.
    `wait` are the seconds that the receiver asks us to wait.
    """

    recipient: str
    reason: str
    unsure: bool = False
    wait: float | None = None


class Refused(Struct, frozen=True):
    """The receiver permanently refuses this recipient (LMTP/SMTP 5xx). `unknown` means that the
    mailbox does not exist."""

    recipient: str
    reason: str
    unknown: bool = False


DeliveryOutcome = Delivered | Deferred | Refused


class MessageState(StrEnum):
    """The state of a message in the ledger."""

    COLLECTED = "collected"
    """It is durable at the destination for every recipient."""
    FAILED = "failed"
    """It was attempted and will be retried. A retry counts towards the limit of a session."""
    PARKED = "parked"
    """It stays on the server until the manifest or the destination changes."""
    BEGUN = "begun"
    """Its delivery began, and its completion is unknown. It is repeated under the same name."""
    PRESUMED = "presumed"
    """It is probably collected, but its key does not prove it. Either it was collected under
    another key, judging by its headers alone, or several messages have the same UIDL. Its content
    is compared before it is deleted."""
    LISTED = "listed"
    """It is not collected. Only its headers were fetched, to compare it with messages that were
    collected under other keys."""
    SUSPECT = "suspect"
    """It may be the cause of a failed fetch. From now on it is requested alone, after all others.
    No attempt is counted."""
    UNFETCHED = "unfetched"
    """The server failed to send it when it was requested alone. It is retried alone."""
    PAUSED = "paused"
    """It is parked for a growing time, because each attempt lost the connection, possibly by a
    fault of the network. The connection is that to the source, or that to a receiver, which may
    have the message."""


class Record(Struct, frozen=True):
    """The ledger's new record of a message. It is written after the message's batch is durable and
    before anything is deleted."""

    key: str
    state: MessageState
    size: int
    occurrence: int = 0
    fingerprint: Fingerprint | None = None
    delivered: tuple[Delivered, ...] = ()
    reason: str = ""
    counted: bool = False
    """Whether it counts as an attempt in spite of its state."""
    wait: float | None = None
    """The seconds that a receiver asked us to wait with this message."""


class Entry(Struct, frozen=True):
    """The ledger's record of a listed message in the current epoch."""

    key: str
    state: MessageState
    occurrence: int = 0
    attempts: int = 0
    delivered: frozenset[str] = frozenset()
    """The recipients who have it already. Loaded for messages that are not collected."""
    deleted: bool = False
    """Whether the server confirmed its deletion. It may be listed again nevertheless."""
    content: str = ""
    """The digest of the content (`Fingerprint.content`). Loaded if `deleted` is true or the state
    is not COLLECTED."""
    header: str = ""
    """The digest of the headers. Loaded if the state is LISTED."""
    reason: str = ""
    """The reason why it failed or is parked. For a collected message, the reason why it must not
    be deleted from the server."""
    at: datetime | None = None
    """The time of the record. Loaded if the state is PAUSED or `wait` is set."""
    wait: float | None = None
    """The seconds after `at` that a receiver asked us to wait with this message."""


class Orphan(Struct, frozen=True):
    """The record of a message in a folder that is no longer listed, because the account changed or
    the server renumbered its messages.

    `number` identifies the record. `entry.delivered` is loaded.
    """

    number: int
    folder: Folder
    entry: Entry
    fingerprint: Fingerprint


class Adoption(Struct, frozen=True):
    """The move of a record to the present key of its message."""

    orphan: Orphan
    key: str
    state: MessageState


class Outcome(StrEnum):
    """The result of a session."""

    RUNNING = "running"
    """It is still running."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """It was stopped because of a shutdown or a change of the manifest."""


class Failure(Struct, frozen=True):
    """The error of a failed session. `reason` is the condition's reason, `message` a sentence
    without secrets."""

    reason: str
    message: str
    retry_after: float | None = None
    """The seconds that the server asked us to wait."""
    advice: str = ""
    """What a person can do about it, if known. `message` has it too."""
    of_address: bool = False
    """As in `SourceError`. Not kept in the ledger."""
    of_one: bool = False
    """As in `DestinationUnavailable`. Not kept in the ledger."""

    @classmethod
    def of(cls, error: CollectorError) -> Failure:
        """Return the failure that describes an error."""
        return cls(
            error.reason,
            str(error),
            getattr(error, "retry_after", None),
            getattr(error, "advice", ""),
            getattr(error, "of_address", False),
            getattr(error, "of_one", False),
        )


class SessionReport(Struct, frozen=True):
    """The counters of a session, with times in UTC.

    `listed = collected + skipped + parked + failed + left` always holds.
    """

    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    listed: int = 0
    collected: int = 0
    skipped_reasons: Mapping[str, int] = field(default_factory=dict)
    """The counts by reason: collected-before, too-large and vanished."""
    parked: int = 0
    failed: int = 0
    left: int = 0
    deleted: int = 0
    bytes: int = 0
    """The octets of the collected messages as delivered."""
    error: Failure | None = None
    notes: tuple[str, ...] = ()
    """Facts for the log that are no failure, such as refused deletes or a missing folder."""
    token_expires_at: datetime | None = None
    """The time when the login's access token expires. Like the token itself, it is not kept in the
    ledger."""

    @property
    def skipped(self) -> int:
        """Return the number of skipped messages."""
        return sum(self.skipped_reasons.values())


class Cleared(Struct, frozen=True):
    """The result of clearing a collector's history: the new epoch, and the number of messages that
    were forgotten."""

    epoch: int
    forgotten: int


@dataclass(frozen=True, slots=True)  # pydantic has to serialize it, so no Struct
class Totals:
    """The sums of the counters of all sessions of a collector."""

    sessions: int = 0
    collected: int = 0
    failed: int = 0
    deleted: int = 0
    bytes: int = 0

    def with_one_more(self, report: SessionReport) -> Totals:
        """Return the totals after another session."""
        return Totals(
            self.sessions + 1,
            self.collected + report.collected,
            self.failed + report.failed,
            self.deleted + report.deleted,
            self.bytes + report.bytes,
        )
