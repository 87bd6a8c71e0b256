"""The status of a collector as it is shown: conditions, sessions and totals (`get -o json`).

Fields are camelCase in JSON. Times are UTC in the format of RFC 3339.
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
    """The base of all objects of the API and of `-o json`."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="forbid",
    )


class Condition(Shown):
    """One of the three conditions, with the time of its last change of status."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: Time


class SessionError(Shown):
    """The error of a failed session. `advice` is what a person can do, if known; `message` has it
    too."""

    reason: str
    message: str
    advice: str = ""

    @classmethod
    def of(cls, failure: Failure) -> SessionError:
        return cls(reason=failure.reason, message=failure.message, advice=failure.advice)


class ShownSession(Shown):
    """The counters of a session: `listed = collected + skipped + parked + failed + left`."""

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
    """Other facts, such as refused deletes, messages recognised under new keys, missing folders."""

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
    """A host where no session can start.

    `concerns` is the number of its collectors. One of them tries again at `next_attempt`, and the
    others wait for the result.
    """

    host: str
    port: int
    reason: str
    message: str
    since: Time
    next_attempt: Time
    concerns: int


class DestinationAway(Shown):
    """A mail system that accepts no mail.

    `concerns` is the number of collectors that deliver to it. One that has mail tries again at
    `next_attempt`, and the others wait for the result.
    """

    destination: str
    reason: str
    message: str
    since: Time
    next_attempt: Time
    concerns: int


class Status(Shown):
    """The status of a collector."""

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
    """The metadata of a collector's manifest."""

    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ShownCollector(Shown):
    """An element of `get -o json`. `spec` is the effective spec without secrets."""

    metadata: ShownMetadata
    spec: dict[str, Any]
    status: Status


class Parked(Shown):
    """A message that stays on the server until the manifest or the destination changes."""

    folder: str
    key: str
    size: int | None
    reason: str
    since: Time


class Failing(Shown):
    """A message whose fetch or delivery failed and is repeated.

    `reason` has the words of the server or receiver, and `next` describes what happens next. The
    message is not tried before `next_attempt`; None means any session.
    """

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
    """A server's message to people, with the time when it was first sent."""

    text: str
    at: Time

    @classmethod
    def of(cls, alert: Alert) -> ShownAlert:
        return cls(text=alert.text, at=alert.at)


class ShownEvent(Shown):
    """Something that happened to a collector since the daemon started.

    Where the same happened `times` times in a row, `at` is the last time. `what` is start, replace,
    stop, hold, nothing-new, collected, failed, interrupted or recovered. `count` are collected
    messages.
    """

    at: Time
    what: str
    reason: str = ""
    count: int = 0
    times: int = 1


class Description(Shown):
    """The details of a collector for `describe`."""

    collector: ShownCollector
    sessions: tuple[ShownSession, ...]
    parked: tuple[Parked, ...]
    history_size: int
    """The number of messages in the ledger in the current epoch."""
    epoch: int
    source: str | None
    """The manifest's file and line."""
    failing: tuple[Failing, ...] = ()
    """Messages that failed and are not parked."""
    alerts: tuple[ShownAlert, ...] = ()
    """The server's last alerts, newest first."""
    due_deletions: int | None = None
    """Messages that were collected, and that the next session would delete on the server; None
    where that is not known, or where the mode deletes nothing."""
    events: tuple[ShownEvent, ...] = ()
    """What happened to it since the daemon started, newest first."""


class CheckStep(Shown):
    """A step of a check: connect, log in, list a folder, examine the destination."""

    step: str
    ok: bool
    message: str


class CheckedFolder(Shown):
    """A folder's contents. `new` messages would be attempted. `skipped` ones were collected before
    or are too large."""

    name: str
    messages: int
    bytes: int
    new: int
    skipped: int


class CheckReport(Shown):
    """The result of `check`, which collects nothing."""

    name: str
    ok: bool
    steps: tuple[CheckStep, ...]
    folders: tuple[CheckedFolder, ...] = ()
    first_session: str = ""
    """A sentence about what the first session would do."""
    error: SessionError | None = None
    notes: tuple[str, ...] = ()
