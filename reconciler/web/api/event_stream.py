"""The stream of changes, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.web.api.json_answers import event, event_answer
from reconciler.web.api.operations import Operation

_STILL_THERE = 15.0
"""Seconds of silence after which an event stream says that it is alive."""


class EventStream:
    """Changes of what is shown of collectors."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/api/v1/events",
                self.events,
                "Changes, as server-sent events.",
                media_type="text/event-stream",
            )
        ]

    async def events(self, _request: Request) -> Response:
        return event_answer(self._changes())

    async def _changes(self) -> AsyncIterator[str]:
        with self._control.subscribed() as subscription:
            yield ": changes from now on\n\n"
            while True:
                try:
                    changes = await asyncio.wait_for(subscription.take(), _STILL_THERE)
                except TimeoutError:
                    yield ":\n\n"
                    continue
                for name, found in changes.items():
                    yield (
                        event("removed", json.dumps({"name": name}))
                        if found is None
                        else event("collector", found.model_dump_json(by_alias=True))
                    )
