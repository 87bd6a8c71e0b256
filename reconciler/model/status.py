"""What is shown of a collector: conditions, sessions, totals (the JSON of `get -o json`).

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
    """Base of everything that the API and `-o json` show."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="forbid",
    )


class Condition(Shown):
    """One of the three conditions, and since when it has its status."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: Time


class SessionError(Shown):
    """Why a session failed. `advice`: what a person can do about it, where that is known; the
    message has it, too."""

    reason: str
    message: str
    advice: str = ""

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
    """A host that lets nobody in. `concerns` counts the collectors that have their mail there: one
    of them tries again at `next_attempt`, the others wait for that."""

    host: str
    port: int
    reason: str
    message: str
    since: Time
    next_attempt: Time
    concerns: int


class DestinationAway(Shown):
    """A mail system that takes no mail. `concerns` counts the collectors that deliver there: one of
    those that have mail tries again at `next_attempt`, the others wait for that."""

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
    """A message that could not be fetched or delivered, and is tried again. `reason` is what the
    server or the receiver said; `next` says in words what happens to it. It is not tried before
    `next_attempt`; None: in any session."""

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
    """A text that the server wants people to see, and when it first said so."""

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
    """What a folder holds. `new` messages would be attempted; `skipped` ones were collected before
    or are too large."""

    name: str
    messages: int
    bytes: int
    new: int
    skipped: int


class CheckReport(Shown):
    """What `check` found out; nothing was collected."""

    name: str
    ok: bool
    steps: tuple[CheckStep, ...]
    folders: tuple[CheckedFolder, ...] = ()
    first_session: str = ""
    """A sentence: what a first session would do."""
    error: SessionError | None = None
    notes: tuple[str, ...] = ()
