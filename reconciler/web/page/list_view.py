"""The list of collectors: what needs attention first, then all of them, in pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.collector_query import Query
from reconciler.control.control_service import ControlService
from reconciler.model.collector_state import CollectorState
from reconciler.model.status import ShownCollector
from reconciler.web.api.collector_resources import read_query
from reconciler.web.page.cause_words import shown_cause
from reconciler.web.page.collector_rows import CollectorRow, collector_row
from reconciler.web.page.page_rendering import language_of, render
from reconciler.web.page.page_routes import PageRoute
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import marked, state_words
from reconciler.web.page.sparkline import sparkline

_FRAGMENTS = {"list": "list_table.html", "attention": "attention.html"}
_OFFERED = 50
"""Labels and hosts that the filters offer."""
_ROWS = 200
"""Rows that are asked for at once, at most."""
_COLUMNS = (
    ("name", marked("Collector")),
    ("state", marked("State")),
    ("host", marked("Server")),
    ("collected", marked("Messages")),
    ("nextSession", marked("Next session")),
)


class ListColumn(Struct, frozen=True):
    """A column that the list can be sorted by. `order` is the value of `aria-sort`."""

    key: str
    text: str
    order: str
    path: str


class StateFilter(Struct, frozen=True):
    """A link that shows only the collectors in one state; `word` is "" for all of them."""

    word: str
    text: str
    count: int
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
        found = self._control.some(dict.fromkeys(names))
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
            "first": _path(query, after="") if query.after else "",
            "following": _path(query, after=found.next) if found.next else "",
            "columns": [_column(key, text, query, language) for key, text in _COLUMNS],
            "filters": list(_filters(query, states, language)),
            "labels": _most(overview.labels),
            "hosts": _most(overview.hosts),
            "back": _path(query),
        }

    async def _attention(self, language: Language) -> dict[str, Any]:
        overview = await self._control.overview()
        return {
            "causes": [shown_cause(one, language) for one in overview.causes],
            "vanished": self._control.vanished,
            "paused": self._control.paused,
            "trouble": self._control.trouble,
        }

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
    return ListColumn(key, language.gettext(text), order, _path(query, sort=turned, after=""))


def _filters(
    query: Query, counts: Mapping[CollectorState, int], language: Language
) -> Iterable[StateFilter]:
    every, total = language.gettext("all"), sum(counts.values())
    path = _path(query, state="", after="")
    yield StateFilter("", every, total, path, chosen=not query.states)
    for state in CollectorState:
        chosen = query.states == {state}
        if counts.get(state) or chosen:
            path = _path(query, state=state.value, after="")
            yield StateFilter(
                state.value, state_words(state, language), counts.get(state, 0), path, chosen
            )


def _path(query: Query, **other: str) -> str:
    """Return the address of the list for a query, with some parameters replaced."""
    parameters = {
        "search": query.search,
        "state": ",".join(sorted(query.states)),
        "label": ",".join(one.text for one in query.labels),
        "host": query.host,
        "reason": query.reason,
        "destination": query.destination,
        "sort": f"-{query.sort}" if query.descending else query.sort,
        "after": query.after.text if query.after else "",
        **other,
    }
    if parameters["sort"] == "name":
        del parameters["sort"]
    given = {key: value for key, value in parameters.items() if value}
    return "/?" + urlencode(given) if given else "/"
