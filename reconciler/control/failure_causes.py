"""What needs attention: the causes for which collectors get no mail, each once, however many
collectors it concerns. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from typing import Literal

from reconciler.model.collector_state import CollectorState, is_stale, recipients_of, state_of
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.status import Condition, SessionError, Shown, ShownCollector, Time

NAMED = 20
"""Collectors of a cause that are named; the others are counted."""
CauseKind = Literal["host", "destination", "login", "manifest", "failure", "parked", "stale"]
_ORDER: tuple[CauseKind, ...] = (
    "destination",
    "host",
    "login",
    "manifest",
    "failure",
    "stale",
    "parked",
)


class Cause(Shown):
    """One reason why collectors need attention.

    `host` and `port` for the kinds host, login and failure, `destination` for the kind destination.
    `people` counts the distinct local addresses whose mail it concerns; `names` are the first
    collectors, sorted. `messages` counts parked messages.
    """

    kind: CauseKind
    host: str = ""
    port: int | None = None
    destination: str = ""
    reason: str
    message: str
    advice: str = ""
    since: Time | None = None
    next_attempt: Time | None = None
    collectors: int
    people: int
    messages: int = 0
    names: tuple[str, ...]


class _Found:
    """A cause that is being put together. `cause` has the facts of the first collector."""

    def __init__(self, cause: Cause) -> None:
        self._cause = cause
        self._names: list[str] = []
        self._people: set[str] = set()
        self._since = cause.since
        self._messages = 0

    def add(self, collector: ShownCollector, since: datetime | None) -> None:
        self._names.append(collector.metadata.name)
        self._people |= recipients_of(collector.spec)
        if since is not None and (self._since is None or since < self._since):
            self._since = since
        if self._cause.kind == "parked" and collector.status.last_session:
            self._messages += collector.status.last_session.parked

    def complete(self) -> Cause:
        return self._cause.model_copy(
            update={
                "since": self._since,
                "collectors": len(self._names),
                "people": len(self._people),
                "messages": self._messages,
                "names": tuple(sorted(self._names)[:NAMED]),
            }
        )


def causes(collectors: Iterable[ShownCollector], now: datetime) -> list[Cause]:
    """Return the causes, grave kinds first, then those of most collectors. A collector has one
    cause for which it gets no mail, and besides it may have parked messages."""
    found: dict[Hashable, _Found] = {}
    for collector in collectors:
        for cause in _causes_of(collector, now):
            key = (
                cause.kind,
                cause.host,
                cause.port,
                cause.destination,
                cause.reason,
                _text(cause),
            )
            found.setdefault(key, _Found(cause)).add(collector, cause.since)
    done = [one.complete() for one in found.values()]
    return sorted(done, key=lambda one: (_ORDER.index(one.kind), -one.collectors, one.names))


def _text(cause: Cause) -> str:
    """Return what distinguishes causes of one reason. A message that names one account's facts
    would make a cause of each account."""
    return cause.advice or (cause.message if cause.kind in {"destination", "manifest"} else "")


def _causes_of(collector: ShownCollector, now: datetime) -> Iterator[Cause]:
    status, state = collector.status, state_of(collector)
    if state is CollectorState.DISABLED:
        return
    if status.last_session is not None and status.last_session.parked:
        yield _cause("parked", "Parked", "", status.last_session.finished_at)
    if status.destination_away is not None:
        away = status.destination_away
        yield _cause(
            "destination", away.reason, away.message, away.since, away.next_attempt
        ).model_copy(update={"destination": away.destination})
    elif status.host_away is not None:
        closed = status.host_away
        yield _cause(
            "host", closed.reason, closed.message, closed.since, closed.next_attempt
        ).model_copy(update={"host": closed.host, "port": closed.port})
    elif state in {CollectorState.STALLED, CollectorState.FAILING}:
        yield _failure(collector, state)
    elif is_stale(collector, now):
        last = status.last_session
        yield _cause("stale", "Stale", "", last.finished_at if last else None)


def _failure(collector: ShownCollector, state: CollectorState) -> Cause:
    condition = _telling(collector, state)
    error = collector.status.last_session and collector.status.last_session.error
    told: SessionError | None = error if error and error.reason == condition.reason else None
    is_login = condition.reason == AuthenticationFailed.reason
    kind: CauseKind = (
        "login"
        if is_login
        else "failure"
        if told or state is CollectorState.FAILING
        else "manifest"
    )
    source = collector.spec.get("source", {})
    where = {"host": str(source.get("host", "")), "port": source.get("port")}
    return _cause(
        kind, condition.reason, condition.message, condition.last_transition_time
    ).model_copy(
        update={"advice": told.advice if told else "", **({} if kind == "manifest" else where)}
    )


def _telling(collector: ShownCollector, state: CollectorState) -> Condition:
    """Return the condition that tells why."""
    wanted = "Stalled" if state is CollectorState.STALLED else "Ready"
    return next(one for one in collector.status.conditions if one.type == wanted)


def _cause(
    kind: CauseKind,
    reason: str,
    message: str,
    since: datetime | None,
    next_attempt: datetime | None = None,
) -> Cause:
    return Cause(
        kind=kind,
        reason=reason,
        message=message,
        since=since,
        next_attempt=next_attempt,
        collectors=0,
        people=0,
        names=(),
    )
