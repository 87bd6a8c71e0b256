"""The operations that pause the whole service, and resume it."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.service_pause import LONGEST
from reconciler.web.access.roles import Principal, Role, require_role
from reconciler.web.api.operations import Operation
from reconciler.web.request_bodies import bounded

_PAUSE = {
    "type": "object",
    "required": ["by", "why", "since"],
    "properties": {name: {"type": "string"} for name in ("by", "why", "since")},
}


_LARGEST = 16 << 10
"""Bytes of a body."""


class _Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to pause. `by`: who asks, over the control socket, which knows no
    names."""

    reason: str = ""
    by: str = ""


class PauseResources:
    """The operations of the service's pause."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                "/api/v1/pause",
                self.pause,
                "Start no session any more, across restarts, until somebody resumes.",
                Role.OPERATE,
                body={
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "reason": {"type": "string", "maxLength": LONGEST},
                        "by": {"type": "string", "maxLength": 100},
                    },
                },
                answer=_PAUSE,
                errors=(409, 413, 422),
            ),
            Operation(
                "POST",
                "/api/v1/resume",
                self.resume,
                "Let collectors go on.",
                Role.OPERATE,
                answer={"type": "object"},
                errors=(409,),
            ),
        ]

    async def pause(self, request: Request) -> Response:
        asked = _asked(await bounded(request, _LARGEST).body())
        who = require_role(request, Role.OPERATE)
        found = await self._control.pause(_name(who, asked), asked.reason)
        return JSONResponse(found.as_json())

    async def resume(self, request: Request) -> Response:
        await self._control.resume(require_role(request, Role.OPERATE).name)
        return JSONResponse({})


def _asked(body: bytes) -> _Asked:
    try:
        asked = msgspec.json.decode(body, type=_Asked) if body else _Asked()
    except msgspec.DecodeError as error:
        raise HTTPException(422, f"the body is not as described: {error}") from error
    if len(asked.reason) > LONGEST or len(asked.by) > 100:
        raise HTTPException(422, f"a reason has at most {LONGEST} characters, a name 100")
    return asked


def _name(who: Principal, asked: _Asked) -> str:
    return asked.by if asked.by and who.how == "socket" else who.name
