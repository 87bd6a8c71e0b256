"""The stream of changes, as server-sent events that a client can resume (WHATWG HTML, section 9.2).

First comes the present state, an event `collector` for each, then `synced`, then the changes:
`collector` and `removed`. Each event after the present state has an id. A client that names the
last one in `Last-Event-ID` gets what it missed, or `resync` and then everything anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.control.event_journal import BoardChange, EventJournal
from reconciler.model.status import ShownCollector
from reconciler.web.api.json_answers import event, event_answer
from reconciler.web.api.operations import Operation, Parameter

_STILL_THERE = 15.0
"""Seconds of silence after which an event stream says that it is alive."""
_AT_ONCE = 50
"""Events of one piece: after each, others in the process have their turn."""
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
                ),
                answer={"type": "string"},
                media_type="text/event-stream",
            )
        ]

    async def events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return event_answer(self._events(self._control.events, last))

    async def _events(self, journal: EventJournal, last: str) -> AsyncIterator[str]:
        with journal.reading() as woken:
            position = journal.number if last == "now" else journal.position(last)
            if position is None:
                position = journal.number
                if last:
                    yield event("resync", "{}")
                async for piece in _pieces(map(_present, self._control.list())):
                    yield piece
            yield event("synced", "{}", journal.identity(position))
            while True:
                changes, position = journal.since(position), journal.number
                async for piece in _pieces(_told(journal, changes)):
                    yield piece
                try:
                    await asyncio.wait_for(woken.wait(), _STILL_THERE)
                except TimeoutError:
                    yield ":\n\n"
                    continue
                await asyncio.sleep(_PAUSE)
                woken.clear()


def _present(collector: ShownCollector) -> str:
    return event("collector", collector.model_dump_json(by_alias=True))


def _told(journal: EventJournal, changes: Iterable[BoardChange]) -> Iterable[str]:
    for change in changes:
        identity = journal.identity(change.number)
        if change.collector is None:
            yield event("removed", json.dumps({"name": change.name}), identity)
        else:
            yield event("collector", change.collector.model_dump_json(by_alias=True), identity)


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
