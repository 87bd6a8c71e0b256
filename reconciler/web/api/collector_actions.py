"""Actions on one collector over the API: collect, clear, check, unpark, accept its Maildirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.model.outcomes import SessionReport
from reconciler.model.status import CheckReport
from reconciler.planning.plan_report import plan_as_data
from reconciler.planning.reconcile_plan import Plan
from reconciler.web.access.roles import Role
from reconciler.web.api.collector_resources import COLLECTOR
from reconciler.web.api.json_answers import event, event_answer, json_answer
from reconciler.web.api.operations import DRY_RUN, FLAG, Operation, Parameter, flag

_FORCE = Parameter("force", "Also where the server asked for a pause or refused the login.", FLAG)


class CollectorActions:
    """The operations on one collector."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        wait = Parameter("wait", "Stream the session's progress as server-sent events.", FLAG)
        return [
            Operation(
                "POST",
                f"{COLLECTOR}/collect",
                self.collect,
                "Collect now.",
                Role.OPERATE,
                query=(_FORCE, wait),
                answer={"type": "object"},
                status=202,
                errors=(404, 409, 503),
            ),
            Operation(
                "POST",
                f"{COLLECTOR}/clear",
                self.clear,
                "Forget what was collected, so that it counts as new.",
                Role.EDIT,
                query=(DRY_RUN,),
                answer={
                    "type": "object",
                    "required": ["epoch", "forgotten"],
                    "properties": {
                        "epoch": {"type": "integer"},
                        "forgotten": {"type": "integer"},
                        "plan": {"type": "object"},
                        "consequences": {"type": "array", "items": {"type": "string"}},
                    },
                },
                errors=(404, 503),
            ),
            Operation(
                "POST",
                f"{COLLECTOR}/unpark",
                self.unpark,
                "Try parked messages again.",
                Role.OPERATE,
                answer={"type": "object", "properties": {"unparked": {"type": "integer"}}},
                errors=(404, 503),
            ),
            Operation(
                "POST",
                f"{COLLECTOR}/accept-maildirs",
                self.accept_maildirs,
                "Confirm that its Maildirs are meant to be where they are.",
                Role.EDIT,
                answer={"type": "object"},
                errors=(404, 503),
            ),
            Operation(
                "POST",
                f"{COLLECTOR}/check",
                self.check,
                "Connect, log in and count; collect nothing.",
                Role.OPERATE,
                query=(_FORCE,),
                answer=CheckReport,
                errors=(404, 409),
            ),
        ]

    async def collect(self, request: Request) -> Response:
        name = request.path_params["name"]
        asked = self._control.collect(name, force=flag(request, "force"))
        if not flag(request, "wait"):
            return JSONResponse({}, 202)
        return event_answer(self._progress(name, asked))

    async def _progress(
        self, collector: str, asked: asyncio.Future[SessionReport]
    ) -> AsyncIterator[str]:
        async for session in self._control.follow(collector, asked):
            name = "progress" if session.finished_at is None else "finished"
            yield event(name, session.model_dump_json(by_alias=True))

    async def clear(self, request: Request) -> Response:
        name = request.path_params["name"]
        if flag(request, DRY_RUN.name):
            return await self._try_clear(name)
        cleared = await self._control.clear(name)
        return JSONResponse({"epoch": cleared.epoch, "forgotten": cleared.forgotten})

    async def _try_clear(self, name: str) -> Response:
        """Answer what clearing means for the mail. No collector stops or starts by it."""
        found = await self._control.describe(name, 1)
        consequence = (
            f"{found.history_size:,} messages are forgotten: those that are on the server are "
            "collected again"
        )
        return JSONResponse(
            {
                "epoch": found.epoch,
                "forgotten": found.history_size,
                "plan": plan_as_data(Plan(), {}, datetime.now(UTC)),
                "consequences": [consequence],
            }
        )

    async def unpark(self, request: Request) -> Response:
        return JSONResponse({"unparked": await self._control.unpark(request.path_params["name"])})

    async def accept_maildirs(self, request: Request) -> Response:
        await self._control.accept_maildirs(request.path_params["name"])
        return JSONResponse({})

    async def check(self, request: Request) -> Response:
        return json_answer(
            await self._control.check(request.path_params["name"], force=flag(request, "force"))
        )
