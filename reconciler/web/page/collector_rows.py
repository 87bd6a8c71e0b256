"""The rows of the list, ready for the template."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.model.collector_state import CollectorState, is_stale, state_of
from reconciler.model.status import ShownCollector
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import reason_words, state_words

_LONGEST = 200
"""Characters of a server's words that a row shows."""


class CollectorRow(Struct, frozen=True):
    """A row. `pick` names its checkbox. `title` is "" where it says no more than the name. `why` is
    plain words, `message` are those of the server; both are "" where all is well. `hours` are the
    messages of the last hours, the oldest first."""

    name: str
    pick: str
    title: str
    enabled: bool
    state: CollectorState
    state_text: str
    why: str
    message: str
    host: str
    protocol: str
    labels: Sequence[str]
    since: datetime | None
    last: datetime | None
    stale: bool
    next: datetime | None
    parked: int
    total: int
    hours: Sequence[int]


def collector_row(
    collector: ShownCollector, hours: Sequence[int], language: Language, now: datetime
) -> CollectorRow:
    """Return the row of a collector."""
    status, spec, name = collector.status, collector.spec, collector.metadata.name
    state = state_of(collector)
    why, message, since = _trouble(collector, state)
    last, source = status.last_session, spec.get("source", {})
    title = str(spec.get("title", ""))
    return CollectorRow(
        name=name,
        pick=language.gettext("Select %(name)s") % {"name": name},
        title=title if title != name else "",
        enabled=state is not CollectorState.DISABLED,
        state=state,
        state_text=state_words(state, language),
        why=reason_words(why, language) if why else "",
        message=language.translate(message)[:_LONGEST],
        host=str(source.get("host", "")),
        protocol=str(source.get("protocol", "")).upper(),
        labels=[f"{key}={value}" for key, value in collector.metadata.labels.items()],
        since=since,
        last=last.finished_at if last and last.outcome == "succeeded" else None,
        stale=is_stale(collector, now),
        next=status.next_session,
        parked=last.parked if last else 0,
        total=status.totals.collected,
        hours=hours,
    )


def _trouble(collector: ShownCollector, state: CollectorState) -> tuple[str, str, datetime | None]:
    """Return the reason and the message of what is wrong, and since when; "" where nothing is."""
    status = collector.status
    for away in (status.destination_away, status.host_away):
        if away is not None and state is not CollectorState.DISABLED:
            return away.reason, away.message, away.since
    if state not in {CollectorState.STALLED, CollectorState.FAILING}:
        return "", "", None
    wanted = "Stalled" if state is CollectorState.STALLED else "Ready"
    found = next(one for one in status.conditions if one.type == wanted)
    return found.reason, found.message, found.last_transition_time
