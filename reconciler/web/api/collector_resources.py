"""Reading over the API: the list of collectors, one of them, and the summary."""

from __future__ import annotations

from collections import Counter

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.model.selectors import selector
from reconciler.model.status import Description
from reconciler.web.api.json_answers import json_answer
from reconciler.web.api.operations import Operation, Parameter

COLLECTOR = "/api/v1/collectors/{name}"


class CollectorResources:
    """What is read of collectors."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        text = {"type": "string"}
        return [
            Operation(
                "GET",
                "/api/v1/collectors",
                self.list_collectors,
                "List collectors.",
                query=(
                    Parameter("search", "Words that the collector must have.", text),
                    Parameter("label", "A label selector, such as team=sales.", text, repeats=True),
                ),
                answer={"type": "array"},
                errors=(400,),
            ),
            Operation("GET", "/api/v1/summary", self.summary, "Counts and causes."),
            Operation(
                "GET",
                COLLECTOR,
                self.describe,
                "One collector.",
                answer=Description,
                errors=(404, 503),
            ),
        ]

    async def list_collectors(self, request: Request) -> Response:
        try:
            wanted = [selector(text) for text in request.query_params.getlist("label")]
        except ValueError as error:
            raise HTTPException(400, f"label: {error}") from error
        return json_answer(self._control.list(request.query_params.get("search", ""), wanted))

    async def summary(self, _request: Request) -> Response:
        """Return how many collectors are in each state, and what keeps several of them at once."""
        found = self._control.list()
        ready = Counter(
            condition.status
            for one in found
            for condition in one.status.conditions
            if condition.type == "Ready"
        )
        away = {
            (one.status.host_away.host, one.status.host_away.port): one.status.host_away
            for one in found
            if one.status.host_away is not None
        }
        closed = {
            one.status.destination_away.destination: one.status.destination_away
            for one in found
            if one.status.destination_away is not None
        }
        return JSONResponse(
            {
                "total": len(found),
                "ready": dict(ready),
                "destinationsAway": [
                    one.model_dump(mode="json", by_alias=True) for one in closed.values()
                ],
                "hostsAway": [one.model_dump(mode="json", by_alias=True) for one in away.values()],
            }
        )

    async def describe(self, request: Request) -> Response:
        return json_answer(await self._control.describe(request.path_params["name"]))
