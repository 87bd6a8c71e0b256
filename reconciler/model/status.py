"""The truth about a collector as it is shown: conditions, sessions, totals (design: JSON of `get -o
json`).

Field names are the contract's, in camelCase on the wire. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from reconciler.model.history import Alert
from reconciler.model.outcomes import Failure, SessionReport, Totals
from reconciler.model.timestamps import timestamp

Time = Annotated[datetime, PlainSerializer(timestamp, return_type=str, when_used="json")]
ConditionType = Literal["Ready", "Reconciling", "Stalled"]


class Shown(BaseModel):
    """Base of everything that leaves as JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="forbid",
    )


class Condition(Shown):
    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: Time


class SessionError(Shown):
    reason: str
    message: str
    advice: str = ""
    """What a person can do about it, where that is known; the message has it too."""

    @classmethod
    def of(cls, failure: Failure) -> SessionError:
        return cls(reason=failure.reason, message=failure.message, advice=failure.advice)


class ShownSession(Shown):
    """One session's counters; `listed = collected + skipped + parked + failed + left`."""

    started_at: Time
    finished_at: Time | None
    outcome: str
    listed: int
    collected: int
    skipped: int
    skipped_reasons: dict[str, int]
    parked: int
    failed: int
    left: int
    deleted: int
    bytes: int
    error: SessionError | None
    notes: tuple[str, ...] = ()
    """What else is worth knowing: refused deletes, messages recognised under other numbers, missing
    folders."""

    @classmethod
    def of(cls, report: SessionReport) -> ShownSession:
        error = report.error and SessionError.of(report.error)
        return cls(
            started_at=report.started_at,
            finished_at=report.finished_at,
            outcome=report.outcome.value,
            listed=report.listed,
            collected=report.collected,
            skipped=report.skipped,
            skipped_reasons=dict(report.skipped_reasons),
            parked=report.parked,
            failed=report.failed,
            left=report.left,
            deleted=report.deleted,
            bytes=report.bytes,
            error=error,
            notes=report.notes,
        )


class HostAway(Shown):
    """Nobody is let in by a host. `concerns`: collectors that have their mail there; one of them
    tries again at `next_attempt`, the others wait for that."""

    host: str
    port: int
    reason: str
    message: str
    since: Time
    next_attempt: Time
    concerns: int


class DestinationAway(Shown):
    """A mail system takes nothing. `concerns`: collectors that have their mail delivered there; one
    of those that have some tries again at `next_attempt`, the others wait for that."""

    destination: str
    reason: str
    message: str
    since: Time
    next_attempt: Time
    concerns: int


class Status(Shown):
    conditions: tuple[Condition, ...] = ()
    generation: int = 0
    observed_generation: int = 0
    revision: str | None = None
    next_session: Time | None = None
    loop_started_at: Time | None = None
    last_session: ShownSession | None = None
    token_expires_at: Time | None = None
    host_away: HostAway | None = None
    destination_away: DestinationAway | None = None
    totals: Totals = Totals()


class ShownMetadata(Shown):
    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ShownCollector(Shown):
    """One element of `get -o json`. `spec` is the effective one, secrets left out."""

    metadata: ShownMetadata
    spec: dict[str, Any]
    status: Status


class Parked(Shown):
    """A message that waits on the server for the manifest or the destination to change."""

    folder: str
    key: str
    size: int | None
    reason: str
    since: Time


class Failing(Shown):
    """A message that did not come or could not be delivered, and is tried again. `reason`: the
    server's or the receiver's words; `next`: what happens to it, in words; `next_attempt`: not
    before then, None: in any session."""

    folder: str
    key: str
    size: int | None
    attempts: int
    reason: str
    since: Time
    last_attempt: Time
    next_attempt: Time | None
    next: str


class ShownAlert(Shown):
    """What the server wanted people to be told, and when it said so first."""

    text: str
    at: Time

    @classmethod
    def of(cls, alert: Alert) -> ShownAlert:
        return cls(text=alert.text, at=alert.at)


class Description(Shown):
    """What `describe` tells of one collector beyond `get`."""

    collector: ShownCollector
    sessions: tuple[ShownSession, ...]
    parked: tuple[Parked, ...]
    history_size: int
    """Messages that the ledger remembers in the current epoch."""
    epoch: int
    source: str | None
    """The manifest's file and line."""
    failing: tuple[Failing, ...] = ()
    """Messages that failed and are not parked (yet)."""
    alerts: tuple[ShownAlert, ...] = ()
    """The server's last ones, newest first."""


class CheckStep(Shown):
    """One step on the way to a session: connect, log in, list a folder, look at the destination."""

    step: str
    ok: bool
    message: str


class CheckedFolder(Shown):
    """What a folder holds; `new` would be attempted, `skipped` were collected before or are too
    large."""

    name: str
    messages: int
    bytes: int
    new: int
    skipped: int


class CheckReport(Shown):
    """What `check` found out without collecting anything."""

    name: str
    ok: bool
    steps: tuple[CheckStep, ...]
    folders: tuple[CheckedFolder, ...] = ()
    first_session: str = ""
    """A sentence: what a first session would do."""
    error: SessionError | None = None
    notes: tuple[str, ...] = ()
