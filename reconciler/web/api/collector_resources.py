"""Reading over the API: the list of collectors, one of them, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.collector_query import (
    MOST,
    SORTS,
    BadQuery,
    Cursor,
    NoSuchPage,
    Query,
    parse_sort,
)
from reconciler.control.control_service import ControlService
from reconciler.model.collector_state import CollectorState
from reconciler.model.selectors import (
    FORMS,
    MOST_CONDITIONS,
    SYNTAX,
    Selector,
    require_few,
    selector,
)
from reconciler.model.status import Shown
from reconciler.web.api.described_collector import YAML, DescribedCollector, describe_collector
from reconciler.web.api.operations import Operation, Parameter

COLLECTOR = "/api/v1/collectors/{name}"
_TEXT = {"type": "string"}
LIST_PARAMETERS = (
    Parameter("search", "Words that the collector must have.", _TEXT),
    Parameter(
        "label",
        f"A label selector: {FORMS}. At most {MOST_CONDITIONS} conditions in all.",
        {"type": "string", "pattern": SYNTAX},
        repeats=True,
    ),
    Parameter(
        "state",
        "One of these states, several with commas between them.",
        {"type": "string", "enum": [*CollectorState]},
        repeats=True,
    ),
    Parameter("host", "Mail is collected from this host.", _TEXT),
    Parameter("reason", "The `reason` of a cause of the summary, such as Parked or Stale.", _TEXT),
    Parameter("destination", "The `destination` of a cause of the summary.", _TEXT),
    Parameter(
        "sort",
        "What the list is sorted by, then by name; `-` before it turns the order around.",
        {"type": "string", "enum": [sign + name for name in SORTS for sign in ("", "-")]},
    ),
    Parameter(
        "limit",
        "Collectors of a page.",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": 100},
    ),
    Parameter("after", "The `next` of the page before.", _TEXT),
    Parameter("fields", "Only these fields, such as metadata.name,status.conditions.", _TEXT),
)
_LIST = {
    "type": "object",
    "required": ["items", "total", "next"],
    "properties": {
        "items": {"type": "array", "items": {"type": "object"}},
        "total": {"type": "integer"},
        "next": {"type": ["string", "null"]},
    },
}
_SUMMARY = {
    "type": "object",
    "required": ["total", "states", "causes", "messagesLastDay", "trouble", "diagnostics"],
}


class CollectorResources:
    """The operations that read collectors."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/api/v1/collectors",
                self.list_collectors,
                "List collectors, in pages.",
                query=LIST_PARAMETERS,
                answer=_LIST,
                errors=(400, 404),
            ),
            Operation(
                "GET",
                "/api/v1/summary",
                self.summary,
                "Counts by state, and what needs attention.",
                answer=_SUMMARY,
            ),
            Operation(
                "GET",
                COLLECTOR,
                self.describe,
                "One collector.",
                answer=DescribedCollector,
                text_types=(YAML,),
                errors=(404, 503),
            ),
        ]

    async def list_collectors(self, request: Request) -> Response:
        found, _ = await self._control.query(read_query(request))
        fields = [path.split(".") for path in request.query_params.get("fields", "").split(",")]
        items = [one.model_dump(mode="json", by_alias=True) for one in found.items]
        if fields != [[""]]:
            items = [select_fields(item, fields) for item in items]
        return JSONResponse({"items": items, "total": found.total, "next": found.next or None})

    async def summary(self, _request: Request) -> Response:
        """Return how many collectors are in each state, and what needs attention."""
        control, overview = self._control, await self._control.overview()
        severities = Counter(str(each.severity) for each in control.diagnostics)
        return JSONResponse(
            {
                "total": overview.total,
                "states": {state.value: overview.states.get(state, 0) for state in CollectorState},
                "causes": _dumped(overview.causes),
                "messagesLastDay": await control.messages_last_day(),
                "paused": control.paused.as_json() if control.paused else None,
                "revision": control.revision,
                "trouble": control.trouble or None,
                "diagnostics": {
                    severity: severities[severity] for severity in ("error", "warning", "info")
                },
                "ready": dict(overview.ready),
                "destinationsAway": _dumped(overview.destinations_away),
                "hostsAway": _dumped(overview.hosts_away),
            }
        )

    async def describe(self, request: Request) -> Response:
        return await describe_collector(self._control, request, request.path_params["name"])


def read_query(request: Request) -> Query:
    """Return what a request for a list asks for; see `query_of`."""
    return query_of(request.query_params)


def query_of(given: QueryParams) -> Query:
    """Return what the query parameters of a list ask for. Raises HTTPException 400, or
    404 where `after` is the end of no page."""
    after = given.get("after", "")
    try:
        sort, descending = parse_sort(given.get("sort") or "name")
        return Query(
            search=given.get("search", ""),
            labels=_selectors(text for text in given.getlist("label") if text),
            states=frozenset(_states(given.getlist("state"))),
            host=given.get("host", ""),
            sort=sort,
            descending=descending,
            reason=given.get("reason", ""),
            destination=given.get("destination", ""),
            limit=_limit(given.get("limit") or "100"),
            after=Cursor.read(after, sort) if after else None,
        )
    except NoSuchPage as error:
        raise HTTPException(404, str(error)) from error
    except BadQuery as error:
        raise HTTPException(400, str(error)) from error


def _selectors(texts: Iterable[str]) -> tuple[Selector, ...]:
    found: list[Selector] = []
    try:
        for text in texts:
            found.append(selector(text))
            require_few(sum(len(one.requirements) for one in found))
    except ValueError as error:
        raise BadQuery(f"label: {error}") from error
    return tuple(found)


def _states(texts: Iterable[str]) -> Iterator[CollectorState]:
    for text in ",".join(texts).split(","):
        if text.strip():
            try:
                yield CollectorState(text.strip().casefold())
            except ValueError:
                every = ", ".join(CollectorState)
                raise BadQuery(f"state: {text.strip()!r} is none of {every}") from None


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST:
        return int(text)
    raise BadQuery(f"limit is a number from 1 to {MOST}")


def _dumped(found: Iterable[Shown]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", by_alias=True) for one in found]


def select_fields(item: dict[str, Any], fields: Iterable[list[str]]) -> dict[str, Any]:
    """Return only these fields of an item. A missing field is left out."""
    kept: dict[str, Any] = {}
    for path in fields:
        at, into = item, kept
        for key in path[:-1]:
            if not isinstance(at.get(key), dict):
                break
            at, into = at[key], into.setdefault(key, {})
        else:
            if path[-1] in at:
                into[path[-1]] = at[path[-1]]
    return kept
