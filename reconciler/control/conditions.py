"""The status of a collector as it is shown: its conditions, and the messages that wait. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from reconciler.collect.retry_rules import next_step, requested_wait
from reconciler.control.contained_defects import INTERNAL_ERROR
from reconciler.control.loop_state import LoopSnapshot
from reconciler.model.collector_state import PAUSED
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.history import FailedMessage, ParkedMessage, Retry
from reconciler.model.outcomes import Outcome, SessionReport, Totals
from reconciler.model.secret import REDACTED
from reconciler.model.spec import CollectorSpec
from reconciler.model.status import (
    Condition,
    ConditionType,
    DestinationAway,
    Failing,
    HostAway,
    Parked,
    ShownCollector,
    ShownMetadata,
    ShownSession,
    Status,
)
from reconciler.planning.desired_state import DesiredCollector, InvalidCollector

Truth = Literal["True", "False", "Unknown"]


class CollectorFacts(Struct, frozen=True):
    """The facts that a collector's conditions follow from. `verdict` is its last session that
    was not interrupted. `loop` is None where it does not run. `defect`: a defect of this program
    that prevents an action for it."""

    desired: DesiredCollector | InvalidCollector
    generation: int = 0
    loop: LoopSnapshot | None = None
    retry: Retry | None = None
    last: SessionReport | None = None
    verdict: SessionReport | None = None
    totals: Totals = field(default_factory=Totals)
    revision: str | None = None
    host_away: HostAway | None = None
    defect: str = ""
    destination_away: DestinationAway | None = None
    paused: str = ""
    """Who paused the service and why, as a sentence; "" where it runs."""


class _UndatedCondition(Struct, frozen=True):
    """A condition without its time."""

    type: ConditionType
    status: Truth
    reason: str
    message: str = ""


def show_collector(
    facts: CollectorFacts,
    previous: Sequence[Condition],
    now: datetime,
    same: ShownCollector | None = None,
) -> ShownCollector:
    """Return the collector as it is shown. A condition keeps its time while its status is the same
    as in `previous`. `same`: the collector as it was shown for the same declaration, whose parts
    are used again."""
    desired, loop, last = facts.desired, facts.loop, facts.last
    status = Status(
        conditions=conditions(facts, previous, now),
        generation=facts.generation,
        observed_generation=loop.observed_generation if loop else facts.generation,
        revision=facts.revision,
        next_session=loop.next_session if loop and not facts.paused else None,
        loop_started_at=loop.started_at if loop else None,
        last_session=_session(last, same.status.last_session if same else None) if last else None,
        totals=facts.totals,
        token_expires_at=last.token_expires_at if last else None,
        host_away=facts.host_away,
        destination_away=facts.destination_away,
    )
    if same is not None:
        return same.model_copy(update={"status": status})
    declared = desired if isinstance(desired, DesiredCollector) else None
    metadata = ShownMetadata(
        name=desired.name,
        labels=dict(declared.labels) if declared else {},
        annotations=dict(declared.annotations) if declared else {},
    )
    return ShownCollector(
        metadata=metadata, spec=shown_spec(declared.effective) if declared else {}, status=status
    )


def _session(report: SessionReport, shown: ShownSession | None) -> ShownSession:
    """Return a session as it is shown, or was shown already."""
    is_same = shown is not None and (shown.started_at, shown.finished_at) == (
        report.started_at,
        report.finished_at,
    )
    return shown if shown is not None and is_same else ShownSession.of(report)


def show_defect(name: str, defect: str, generation: int, now: datetime) -> ShownCollector:
    """Return a collector with nothing but its defect, because that prevents everything else from
    being shown."""
    statuses: tuple[tuple[ConditionType, Truth], ...] = (("Ready", "Unknown"), ("Stalled", "True"))
    undated = tuple(
        Condition(
            type=type_,
            status=status,
            reason=INTERNAL_ERROR,
            message=defect,
            last_transition_time=now,
        )
        for type_, status in statuses
    )
    return ShownCollector(
        metadata=ShownMetadata(name=name),
        spec={},
        status=Status(
            conditions=undated,
            generation=generation,
            observed_generation=generation,
            totals=Totals(),
        ),
    )


def shown_spec(spec: CollectorSpec) -> dict[str, Any]:
    """Return the spec as it would stand in a manifest. A secret that stands in the manifest itself
    is left out."""
    declared = spec.declared()
    source = declared["source"]
    for holder, key in (
        (source, "password"),
        (source.get("oauth2", {}), "clientSecret"),
        (source.get("oauth2", {}), "refreshToken"),
    ):
        if "value" in holder.get(key, {}):
            holder[key]["value"] = REDACTED
    return declared


def conditions(
    facts: CollectorFacts, previous: Sequence[Condition], now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions, each with the time since when it has its status."""
    before = {(old.type, old.status): old for old in previous}
    return tuple(
        _dated(found, before.get((found.type, found.status)), now)
        for found in _current_conditions(facts)
    )


def _dated(found: _UndatedCondition, before: Condition | None, now: datetime) -> Condition:
    if before and (before.reason, before.message) == (found.reason, found.message):
        return before
    return Condition(
        type=found.type,
        status=found.status,
        reason=found.reason,
        message=found.message,
        last_transition_time=before.last_transition_time if before else now,
    )


def _current_conditions(facts: CollectorFacts) -> Iterator[_UndatedCondition]:
    yield _ready(facts)
    yield _reconciling(facts)
    yield _stalled(facts)


def _ready(facts: CollectorFacts) -> _UndatedCondition:
    desired = facts.desired
    if isinstance(desired, InvalidCollector) and facts.loop is None:
        return _UndatedCondition("Ready", "False", desired.problem.reason, desired.problem.message)
    if isinstance(desired, DesiredCollector):
        if not desired.may_run and desired.problem:
            return _UndatedCondition(
                "Ready", "False", desired.problem.reason, desired.problem.message
            )
        if not desired.effective.enabled:
            return _UndatedCondition(
                "Ready", "False", "Disabled", "`enabled: false` in its manifest"
            )
    if facts.paused:
        return _UndatedCondition("Ready", "Unknown", PAUSED, facts.paused)
    if facts.verdict is None:
        return _UndatedCondition("Ready", "Unknown", "AwaitingFirstSession")
    return _verdict(facts.verdict)


def _verdict(report: SessionReport) -> _UndatedCondition:
    if report.error is not None:
        return _UndatedCondition("Ready", "False", report.error.reason, report.error.message)
    if report.outcome is Outcome.FAILED:
        return _UndatedCondition("Ready", "False", "Failed")
    return _UndatedCondition("Ready", "True", "Collected")


def _reconciling(facts: CollectorFacts) -> _UndatedCondition:
    loop = facts.loop
    if loop is None:
        return _UndatedCondition("Reconciling", "False", "UpToDate")
    if loop.observed_generation != facts.generation:
        return _UndatedCondition(
            "Reconciling",
            "True",
            "Replacing",
            "the session with the last spec finishes its message",
        )
    if loop.awaiting_first:
        return _UndatedCondition(
            "Reconciling", "True", "AwaitingFirstSession", "no session with this spec is over yet"
        )
    return _UndatedCondition("Reconciling", "False", "UpToDate")


def _stalled(facts: CollectorFacts) -> _UndatedCondition:
    problem = facts.desired.problem
    if problem is not None:
        return _UndatedCondition("Stalled", "True", problem.reason, problem.message)
    if facts.defect:
        return _UndatedCondition("Stalled", "True", INTERNAL_ERROR, facts.defect)
    retry = facts.retry
    if retry is not None and retry.reason == AuthenticationFailed.reason:
        return _UndatedCondition("Stalled", "True", retry.reason, retry.message)
    return _UndatedCondition("Stalled", "False", "NoProblem")


def show_parked(message: ParkedMessage) -> Parked:
    """Return a parked message as it is shown."""
    return Parked(
        folder=message.folder,
        key=message.key,
        size=message.size,
        reason=message.reason,
        since=message.since,
    )


def show_failing(message: FailedMessage) -> Failing:
    """Return a message that is tried again as it is shown, with when and what comes next."""
    until = None if message.wait is None else message.at + requested_wait(message.wait)
    return Failing(
        folder=message.folder,
        key=message.key,
        size=message.size,
        attempts=message.attempts,
        reason=message.reason,
        since=message.since,
        last_attempt=message.at,
        next_attempt=until,
        next=next_step(message.state, message.attempts, until),
    )
