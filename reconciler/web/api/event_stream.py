"""The stream of changes, as server-sent events that a client can resume (WHATWG HTML, section 9.2).

First comes the present state, an event `collector` for each, then `synced`, then the changes:
`collector` and `removed`. Each event has an id. A client that names the last one in `Last-Event-ID`
gets what it missed; or, where that is not known or the present state was not complete, `resync` and
then everything anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.control.event_journal import BoardChange, EventJournal
from reconciler.model.status import ShownCollector
from reconciler.web.api.collector_resources import select_fields
from reconciler.web.api.json_answers import event, event_answer
from reconciler.web.api.operations import Operation, Parameter

_STILL_THERE = 15.0
"""Seconds of silence after which an event stream sends a sign of life."""
_AT_ONCE = 50
"""Events that are sent at once; after them, other tasks have their turn."""
_PAUSE = 0.1
"""Seconds in which changes gather before they are sent."""


class EventStream:
    """The present state of all collectors, and its changes."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/api/v1/events",
                self.events,
                "The present state, then changes, as server-sent events.",
                query=(
                    Parameter(
                        "since",
                        "As the header Last-Event-ID; `now` leaves the present state out.",
                        {"type": "string"},
                    ),
                    Parameter(
                        "fields",
                        "Only these fields of a collector, such as metadata.name.",
                        {"type": "string"},
                    ),
                ),
                answer={"type": "string"},
                media_type="text/event-stream",
            )
        ]

    async def events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("since", "")
        fields = request.query_params.get("fields", "")
        if request.method == "HEAD":
            return event_answer(_pieces(()))
        return event_answer(self._events(self._control.events, last, _drawing(fields)))

    async def _events(
        self, journal: EventJournal, last: str, draw: Callable[[ShownCollector], str]
    ) -> AsyncIterator[str]:
        with journal.reading() as woken:
            position = journal.number if last == "now" else journal.position(last)
            if position is None:
                position, midway = journal.number, journal.identity()
                if last:
                    yield event("resync", "{}", midway)
                present = await self._control.all_collectors()
                async for piece in _pieces(
                    event("collector", draw(one), midway) for one in present
                ):
                    yield piece
            yield event("synced", "{}", journal.identity(position))
            while True:
                changes, position = journal.since(position), journal.number
                async for piece in _pieces(_change_events(journal, changes, draw)):
                    yield piece
                try:
                    async with asyncio.timeout(_STILL_THERE):
                        await woken.wait()
                except TimeoutError:
                    yield ":\n\n"
                    continue
                await asyncio.sleep(_PAUSE)
                woken.clear()


def _drawing(fields: str) -> Callable[[ShownCollector], str]:
    """Return the function that makes the JSON of a collector, with all fields or with these."""
    if not fields:
        return lambda collector: collector.model_dump_json(by_alias=True)
    if fields == "metadata.name":  # what the page asks for: nothing else is drawn for that
        return lambda collector: json.dumps({"metadata": {"name": collector.metadata.name}})
    paths = [path.split(".") for path in fields.split(",")]
    return lambda collector: json.dumps(
        select_fields(collector.model_dump(mode="json", by_alias=True), paths)
    )


def _change_events(
    journal: EventJournal,
    changes: Iterable[BoardChange],
    draw: Callable[[ShownCollector], str],
) -> Iterable[str]:
    for change in changes:
        identity = journal.identity(change.number)
        if change.collector is None:
            yield event("removed", json.dumps({"name": change.name}), identity)
        else:
            yield event("collector", draw(change.collector), identity)


async def _pieces(events: Iterable[str]) -> AsyncIterator[str]:
    """Yield events in pieces, and let others work after each."""
    piece: list[str] = []
    for one in events:
        piece.append(one)
        if len(piece) == _AT_ONCE:
            yield "".join(piece)
            piece.clear()
            await asyncio.sleep(0)
    if piece:
        yield "".join(piece)
