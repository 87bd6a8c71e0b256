"""Selecting, sorting and paging collectors, for the API and the page. Pure, but for a cache of
the texts that a search reads."""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

from msgspec import Struct

from reconciler.control.failure_causes import concerns_of
from reconciler.control.host_limits import canonical_host
from reconciler.model.collector_search import folded_words, searchable
from reconciler.model.collector_state import CollectorState, state_of
from reconciler.model.selectors import Selector
from reconciler.model.status import ShownCollector

MOST = 1000
"""The most collectors of a page."""
Key = tuple[Any, ...]


def _last_session(one: ShownCollector) -> str:
    last = one.status.last_session
    return last.finished_at.isoformat() if last and last.finished_at else ""


def _next_session(one: ShownCollector) -> str:
    due = one.status.next_session
    return due.isoformat() if due else ""


_SORTS: dict[str, Callable[[ShownCollector], str | int]] = {
    "name": lambda _: "",
    "title": lambda one: str(one.spec.get("title", "") or one.metadata.name).casefold(),
    "host": lambda one: str(one.spec.get("source", {}).get("host", "")),
    "state": lambda one: list(CollectorState).index(state_of(one)),
    "lastSession": _last_session,
    "nextSession": _next_session,
    "collected": lambda one: one.status.totals.collected,
}
SORTS: Collection[str] = _SORTS.keys()
"""The fields that a list can be sorted by. Equal ones are sorted by name."""


class BadQuery(ValueError):
    """A parameter of a query is not understood. The message names it and its allowed values."""


class NoSuchPage(BadQuery):
    """A cursor is not the end of a page of this list."""


class Cursor(Struct, frozen=True):
    """The end of a page: the next page begins behind `key`. `text` is what the client is given."""

    text: str
    key: Key

    @classmethod
    def write(cls, sort: str, key: Key) -> Self:
        """Return the end of a page whose last collector has this key in a list sorted by `sort`."""
        text = json.dumps([sort, *key], ensure_ascii=False, separators=(",", ":"))
        return cls(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="), key)

    @classmethod
    def read(cls, text: str, sort: str) -> Self:
        """Return what a client gives back: the text of a cursor, or a name where the list is
        sorted by name. Raises NoSuchPage."""
        try:
            padded = text + "=" * (-len(text) % 4)
            its_sort, value, name = json.loads(base64.urlsafe_b64decode(padded.encode()))
        except (ValueError, TypeError):
            if sort != "name":
                raise NoSuchPage("after: it is not the `next` of a page") from None
            return cls(text, ("", text))
        is_number = sort in {"state", "collected"}
        if its_sort != sort or not isinstance(name, str) or is_number is not isinstance(value, int):
            raise NoSuchPage("after: it belongs to a list that is sorted by something else")
        return cls(text, (value, name))


class Query(Struct, frozen=True):
    """A client's query. `states` empty: all. `reason` and `destination`: of a cause for which the
    collector needs attention. `sort` is one of `SORTS`; `descending` reverses its order. `after`:
    the end of the page before; None for the first page."""

    search: str = ""
    labels: tuple[Selector, ...] = ()
    states: frozenset[CollectorState] = frozenset()
    host: str = ""
    reason: str = ""
    destination: str = ""
    sort: str = "name"
    descending: bool = False
    limit: int = 100
    after: Cursor | None = None

    @property
    def selects_all(self) -> bool:
        """Whether every collector is asked for."""
        return not (
            self.search
            or self.labels
            or self.states
            or self.host
            or self.reason
            or self.destination
        )


class QueryPage(Struct, frozen=True):
    """A page of a list. `total` counts everything that the query selects; `next` is "" on the last
    page."""

    items: tuple[ShownCollector, ...]
    total: int
    next: str


class SearchIndex:
    """The texts that a search reads of each collector, kept while its declaration stays."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[dict[str, Any], str]] = {}

    def matches(self, collector: ShownCollector, words: Sequence[str]) -> bool:
        """Return whether the collector contains every word; they are folded."""
        name = collector.metadata.name
        kept = self._texts.get(name)
        if kept is None or kept[0] is not collector.spec:
            kept = self._texts[name] = collector.spec, searchable(collector)
        return all(word in kept[1] for word in words)

    def forget(self, known: Collection[str]) -> None:
        """Drop the texts of all collectors but the `known` ones, once enough of them are gone."""
        if len(self._texts) > 2 * len(known) + 100:
            self._texts = {name: kept for name, kept in self._texts.items() if name in known}


def parse_sort(text: str) -> tuple[str, bool]:
    """Return what to sort by, and whether the order is turned around: "-host" is ("host", True).
    Raises BadQuery."""
    sort = text.removeprefix("-")
    if sort not in _SORTS:
        raise BadQuery(f"sort: {sort!r} is none of {', '.join(_SORTS)}")
    return sort, text.startswith("-")


def select(
    collectors: Iterable[ShownCollector],
    query: Query,
    index: SearchIndex,
    now: datetime | None = None,
) -> list[ShownCollector]:
    """Return the collectors that a query selects, whatever their state, in their order."""
    words, host = folded_words(query.search), query.host and _canonical(query.host)
    now = now or datetime.now(UTC)
    return [
        one
        for one in collectors
        if (not words or index.matches(one, words))
        and all(label.selects(one.metadata.labels) for label in query.labels)
        and (not host or _host_of(one) == host)
        and (not (query.reason or query.destination) or _is_concerned(one, query, now))
    ]


def _is_concerned(collector: ShownCollector, query: Query, now: datetime) -> bool:
    return any(
        query.reason in {"", concern.reason} and query.destination in {"", concern.destination}
        for concern in concerns_of(collector, now)
    )


def _host_of(collector: ShownCollector) -> str:
    return _canonical(str(collector.spec.get("source", {}).get("host", "")))


_canonical = lru_cache(1000)(canonical_host)


def page(
    collectors: Iterable[ShownCollector],
    query: Query,
    index: SearchIndex,
    now: datetime | None = None,
) -> QueryPage:
    """Return one page of what a checked query selects. `collectors` are sorted by name."""
    return of_states(select(collectors, query, index, now), query)[0]


def of_states(
    selected: Sequence[ShownCollector],
    query: Query,
    state: Callable[[ShownCollector], CollectorState] = state_of,
) -> tuple[QueryPage, Counter[CollectorState]]:
    """Return one page of the selected collectors in the states that the query wants, and the number
    of selected collectors in each state."""
    states = list(map(state, selected))
    if query.states:
        pairs = zip(selected, states, strict=True)
        selected = [one for one, state in pairs if state in query.states]
    return page_of(selected, query), Counter(states)


def page_of(found: Sequence[ShownCollector], query: Query) -> QueryPage:
    """Return one page of the selected collectors."""
    if query.sort == "name" and not query.descending and not query.after:  # they are sorted
        first = tuple(found[: query.limit])
        is_whole = len(first) == len(found)
        end = "" if is_whole else Cursor.write("name", ("", first[-1].metadata.name)).text
        return QueryPage(first, len(found), end)
    key_of = _SORTS[query.sort]
    keyed = sorted(
        (((key_of(one), one.metadata.name), one) for one in found),
        key=lambda pair: pair[0],
        reverse=query.descending,
    )
    start = _start([key for key, _ in keyed], query)
    shown = keyed[start : start + query.limit]
    is_last = start + query.limit >= len(keyed)
    return QueryPage(
        tuple(one for _, one in shown),
        len(keyed),
        "" if is_last or not shown else Cursor.write(query.sort, shown[-1][0]).text,
    )


def _start(keys: Sequence[Key], query: Query) -> int:
    """Return where the page begins: behind the cursor, also where that collector is gone."""
    if query.after is None:
        return 0
    after = query.after.key
    if query.descending:
        return next((at for at, key in enumerate(keys) if key < after), len(keys))
    return bisect_right(keys, after)
