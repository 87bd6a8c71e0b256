"""What needs attention: the causes for which collectors get no mail, each once, however many
collectors it concerns. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from typing import Literal

from msgspec import Struct

from reconciler.model.collector_state import CollectorState, is_stale, recipients_of, state_of
from reconciler.model.errors import AuthenticationFailed
from reconciler.model.status import Condition, SessionError, Shown, ShownCollector, Time

NAMED = 20
"""The number of collectors that a cause names; the others are counted."""
PARKED, STALE = "Parked", "Stale"
"""The reasons of the kinds parked and stale."""
_UNWELL = {CollectorState.STALLED, CollectorState.FAILING}
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


class Concern(Struct, frozen=True):
    """Why one collector needs attention: the fields of a Cause, as far as they are facts of one
    collector."""

    kind: CauseKind
    reason: str
    message: str = ""
    since: datetime | None = None
    next_attempt: datetime | None = None
    host: str = ""
    port: int | None = None
    destination: str = ""
    advice: str = ""

    @property
    def key(self) -> Hashable:
        """What collectors with the same cause have in common.

        The advice is a part of it. A message that names one account's facts would make a cause of
        each account.
        """
        tells_all = self.kind in {"destination", "manifest"}
        text = self.advice or (self.message if tells_all else "")
        return self.kind, self.host, self.port, self.destination, self.reason, text


class _Found:
    """A cause that is being put together. `first` has the facts of the first collector."""

    def __init__(self, first: Concern) -> None:
        self._first = first
        self._names: list[str] = []
        self._people: set[str] = set()
        self._since = first.since
        self._messages = 0

    def add(self, collector: ShownCollector, since: datetime | None) -> None:
        self._names.append(collector.metadata.name)
        self._people.update(recipients_of(collector.spec))
        if since is not None and (self._since is None or since < self._since):
            self._since = since
        if self._first.kind == "parked" and collector.status.last_session:
            self._messages += collector.status.last_session.parked

    def complete(self) -> Cause:
        first = self._first
        return Cause(
            kind=first.kind,
            host=first.host,
            port=first.port,
            destination=first.destination,
            reason=first.reason,
            message=first.message,
            advice=first.advice,
            since=self._since,
            next_attempt=first.next_attempt,
            collectors=len(self._names),
            people=len(self._people),
            messages=self._messages,
            names=tuple(sorted(self._names)[:NAMED]),
        )


class CauseTally:
    """Puts causes together, one collector after the other. A collector has one cause for which it
    gets no mail, and besides it may have parked messages."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._found: dict[Hashable, _Found] = {}

    def add(self, collector: ShownCollector) -> None:
        for concern in concerns_of(collector, self._now):
            found = self._found.get(concern.key)
            if found is None:
                found = self._found[concern.key] = _Found(concern)
            found.add(collector, concern.since)

    def causes(self) -> list[Cause]:
        """Return the causes so far: grave kinds first, then those of most collectors."""
        done = [one.complete() for one in self._found.values()]
        return sorted(done, key=lambda one: (_ORDER.index(one.kind), -one.collectors, one.names))


def causes(collectors: Iterable[ShownCollector], now: datetime) -> list[Cause]:
    """Return the causes of these collectors."""
    tally = CauseTally(now)
    for collector in collectors:
        tally.add(collector)
    return tally.causes()


def concerns_of(collector: ShownCollector, now: datetime) -> Iterator[Concern]:
    """Yield why a collector needs attention; nothing where it is well or disabled."""
    status, state = collector.status, state_of(collector)
    if state is CollectorState.DISABLED:
        return
    last = status.last_session
    if last is not None and last.parked:
        yield Concern("parked", PARKED, since=last.finished_at)
    if (away := status.destination_away) is not None:
        yield Concern(
            "destination",
            away.reason,
            away.message,
            away.since,
            away.next_attempt,
            destination=away.destination,
        )
    elif (closed := status.host_away) is not None:
        yield Concern(
            "host",
            closed.reason,
            closed.message,
            closed.since,
            closed.next_attempt,
            closed.host,
            closed.port,
        )
    elif state in _UNWELL:
        yield _failure(collector, state)
    elif is_stale(collector, now):
        yield Concern("stale", STALE, since=last.finished_at if last else None)


def _failure(collector: ShownCollector, state: CollectorState) -> Concern:
    condition = _telling(collector, state)
    error = collector.status.last_session and collector.status.last_session.error
    last_error: SessionError | None = error if error and error.reason == condition.reason else None
    is_login = condition.reason == AuthenticationFailed.reason
    kind: CauseKind = (
        "login"
        if is_login
        else "failure"
        if last_error or state is CollectorState.FAILING
        else "manifest"
    )
    source = {} if kind == "manifest" else collector.spec.get("source", {})
    return Concern(
        kind,
        condition.reason,
        condition.message,
        condition.last_transition_time,
        host=str(source.get("host", "")),
        port=source.get("port"),
        advice=last_error.advice if last_error else "",
    )


def _telling(collector: ShownCollector, state: CollectorState) -> Condition:
    """Return the condition that tells why."""
    wanted = "Stalled" if state is CollectorState.STALLED else "Ready"
    return next(one for one in collector.status.conditions if one.type == wanted)
