"""The list of collectors: what needs attention first, then all of them, in pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.collector_query import Query
from reconciler.control.control_service import ControlService
from reconciler.control.failure_causes import PARKED, STALE, Cause
from reconciler.control.service_overview import Overview
from reconciler.model.collector_state import CollectorState
from reconciler.model.errors import CollectorError
from reconciler.model.status import ShownCollector
from reconciler.web.api.collector_resources import read_query
from reconciler.web.page.cause_words import shown_cause
from reconciler.web.page.collector_rows import CollectorRow, collector_row
from reconciler.web.page.list_address import list_address
from reconciler.web.page.page_rendering import language_of, render
from reconciler.web.page.page_routes import PageRoute
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import BY_URGENCY, gettext_noop, reason_words, state_words
from reconciler.web.page.sparkline import sparkline

_FRAGMENTS = {"list": "list_table.html", "attention": "attention.html"}
_OFFERED = 50
"""Labels and hosts that the filters offer."""
_ROWS = 200
"""Rows that are asked for at once, at most."""
_COLUMNS = (
    ("name", gettext_noop("Collector")),
    ("state", gettext_noop("State")),
    ("host", gettext_noop("Server")),
    ("collected", gettext_noop("Messages")),
    ("nextSession", gettext_noop("Next session")),
)


_SECRETS = {"SecretUnavailable", "AuthenticationFailed"}
_CONCERNS = {STALE: gettext_noop("stale"), PARKED: gettext_noop("parked")}
_NO_FILTER = {"state": "", "reason": "", "destination": "", "after": ""}


class ListColumn(Struct, frozen=True):
    """A column that the list can be sorted by. `order` is the value of `aria-sort`."""

    key: str
    text: str
    order: str
    path: str


class StateFilter(Struct, frozen=True):
    """A link that shows only the collectors in one state, or with one cause; `word` is "" for all
    of them. `count` is None where it is not known."""

    word: str
    text: str
    count: int | None
    path: str
    chosen: bool


class ListView:
    """The list of collectors."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [PageRoute("GET", "/", self.show), PageRoute("GET", "/rows", self.rows)]

    async def show(self, request: Request) -> Response:
        """Answer with the page, or with the part of it that the header X-Fragment names."""
        fragment = request.headers.get("x-fragment", "")
        template = _FRAGMENTS.get(fragment, "list.html")
        context: dict[str, Any] = {}
        if fragment != "list":
            context |= await self._attention(language_of(request))
        if fragment != "attention":
            context |= await self._listed(request)
        return render(request, template, **context)

    async def rows(self, request: Request) -> Response:
        """Answer with the rows of these collectors, as far as they are there."""
        names = request.query_params.getlist("name")[:_ROWS]
        found = self._control.those_of(dict.fromkeys(names))
        shown = await self._rows(found, language_of(request))
        return render(request, "list_rows.html", rows=shown, sparkline=sparkline)

    async def _listed(self, request: Request) -> dict[str, Any]:
        query, language = read_query(request), language_of(request)
        found, states = await self._control.query(query)
        overview = await self._control.overview()
        return {
            "rows": await self._rows(found.items, language),
            "sparkline": sparkline,
            "query": query,
            "label": ",".join(one.text for one in query.labels),
            "total": found.total,
            "first": list_address(query, after="") if query.after else "",
            "following": list_address(query, after=found.next) if found.next else "",
            "columns": [_column(key, text, query, language) for key, text in _COLUMNS],
            "filters": list(_filters(query, states, overview, language)),
            "labels": _most(overview.labels),
            "hosts": _most(overview.hosts),
            "back": list_address(query),
            "directory": str(self._control.manifests.directory),
        }

    async def _attention(self, language: Language) -> dict[str, Any]:
        overview = await self._control.overview()
        return {
            "causes": [shown_cause(one, language, self._wants(one)) for one in overview.causes],
            "vanished": self._control.vanished,
            "paused": self._control.paused,
            "trouble": self._control.trouble,
        }

    def _wants(self, cause: Cause) -> str:
        """Return what the only collector of a cause lacks, and can be given here: `password`,
        `consent`, or nothing."""
        if cause.collectors != 1 or cause.reason not in _SECRETS:
            return ""
        try:
            return (
                self._control.access.access_method(cause.names[0]) if self._control.access else ""
            )
        except CollectorError:
            return ""

    async def _rows(
        self, found: Iterable[ShownCollector], language: Language
    ) -> Sequence[CollectorRow]:
        recent, now = await self._control.recent(), datetime.now(UTC)
        return [
            collector_row(one, recent.hours(one.metadata.name, now), language, now) for one in found
        ]


def _most(counted: Mapping[str, int]) -> list[str]:
    return sorted(text for text, _ in Counter(counted).most_common(_OFFERED))


def _column(key: str, text: str, query: Query, language: Language) -> ListColumn:
    is_sorted = query.sort == key
    order = ("descending" if query.descending else "ascending") if is_sorted else ""
    turned = f"-{key}" if is_sorted and not query.descending else key
    return ListColumn(
        key, language.gettext(text), order, list_address(query, sort=turned, after="")
    )


def _filters(
    query: Query, counts: Mapping[CollectorState, int], overview: Overview, language: Language
) -> Iterable[StateFilter]:
    is_whole = not (query.states or query.reason or query.destination)
    total = None if query.reason or query.destination else sum(counts.values())
    path = list_address(query, **_NO_FILTER)
    yield StateFilter("", language.gettext("all"), total, path, is_whole)
    concerns = list(_concerns(query, sum(counts.values()), overview, language))
    for state in BY_URGENCY:
        if state is CollectorState.PAUSED:
            yield from concerns
        chosen = query.states == {state}
        if counts.get(state) or chosen:
            path = list_address(query, state=state.value, after="")
            yield StateFilter(
                state.value, state_words(state, language), counts.get(state, 0), path, chosen
            )


def _concerns(
    query: Query, total: int, overview: Overview, language: Language
) -> Iterable[StateFilter]:
    """Yield the links to the collectors that are stale or have parked messages, and the cause that
    was chosen."""
    counts = {STALE: overview.stale, PARKED: overview.parked}
    is_global = not (query.search or query.labels or query.host)
    for reason, text in _CONCERNS.items():
        chosen = query.reason == reason
        if chosen or (counts[reason] and is_global):
            path = list_address(query, **{**_NO_FILTER, "reason": reason})
            count = total if chosen else counts[reason]
            yield StateFilter(reason.lower(), language.gettext(text), count, path, chosen)
    if query.destination or (query.reason and query.reason not in counts):
        words = reason_words(query.reason, language) if query.reason else query.destination
        yield StateFilter("cause", words, total, list_address(query, after=""), chosen=True)
