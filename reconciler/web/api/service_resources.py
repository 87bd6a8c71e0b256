"""The service as a whole over the API: probes, manifests in force, reload."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.model.manifests_in_force import InForce
from reconciler.model.scalar_types import (
    NAME,
)
from reconciler.model.settings import MetricsMode
from reconciler.model.timestamps import timestamp
from reconciler.web.access.roles import Role
from reconciler.web.api.json_answers import json_answer
from reconciler.web.api.operations import Operation

_TEXT = {"type": "string"}
_NAME = re.compile(NAME)


class DaemonPaths(Struct, frozen=True):
    """The facts about this daemon that do not change: its directories, and which collectors have
    metrics of their own. `tokens` is the file of tokens. `page`: where the page is, "" where it
    is not served."""

    manifests: Path
    state_dir: Path
    metrics: MetricsMode | None
    tokens: Path
    page: str


class ServiceResources:
    """The operations on the whole service."""

    def __init__(self, control: ControlService, paths: DaemonPaths) -> None:
        self._control = control
        self._paths = paths

    def operations(self) -> list[Operation]:
        text = "text/plain"
        return [
            Operation(
                "GET", "/api/v1/in-force", self.in_force, "What is in force.", answer=InForce
            ),
            Operation(
                "GET", "/api/v1/info", self.info, "About this daemon.", answer={"type": "object"}
            ),
            Operation(
                "POST",
                "/api/v1/removed/{name}",
                self.removed,
                "Confirm that a collector is removed.",
                Role.EDIT,
                answer={"type": "object"},
                errors=(404,),
            ),
            Operation(
                "GET",
                "/api/v1/diagnostics",
                self.diagnostics,
                "What is wrong with the manifests.",
                answer={"type": "array", "items": {"$ref": "#/components/schemas/Diagnostic"}},
            ),
            Operation(
                "POST",
                "/-/reload",
                self.reload,
                "Read all manifests again.",
                Role.OPERATE,
                answer={"type": "object"},
            ),
            Operation(
                "GET",
                "/healthz",
                self.healthy,
                "Whether the control loop moved lately.",
                None,
                answer=_TEXT,
                errors=(503,),
                media_type=text,
            ),
            Operation(
                "GET",
                "/readyz",
                self.ready,
                "Whether the manifests were loaded.",
                None,
                answer=_TEXT,
                errors=(503,),
                media_type=text,
            ),
        ]

    async def reload(self, _request: Request) -> Response:
        done = await self._control.reload()
        return JSONResponse({"plan": done.count(), "diagnostics": self._diagnostics()})

    async def removed(self, request: Request) -> Response:
        name = request.path_params["name"]
        if len(name) > 63 or not _NAME.fullmatch(name):
            raise HTTPException(404, "no collector can have this name")
        await self._control.confirm_removed(name)
        return JSONResponse({})

    async def in_force(self, _request: Request) -> Response:
        return json_answer(await self._control.in_force())

    async def info(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "version": version("mailcollector"),
                "pid": os.getpid(),
                "manifests": str(self._paths.manifests.absolute()),
                "stateDir": str(self._paths.state_dir.absolute()),
                "tokenFile": str(self._paths.tokens.absolute()),
                "page": self._paths.page or None,
                "startedAt": timestamp(self._control.started_at),
                "trouble": self._control.trouble or None,
                "diagnostics": self._diagnostics(),
            }
        )

    async def diagnostics(self, _request: Request) -> Response:
        return JSONResponse(self._diagnostics())

    def _diagnostics(self) -> list[dict[str, object]]:
        return [found.as_json() for found in self._control.diagnostics]

    async def healthy(self, _request: Request) -> Response:
        return _probe(good=self._control.healthy, bad="the control loop has not moved lately")

    async def ready(self, _request: Request) -> Response:
        return _probe(good=self._control.ready, bad="the manifests have not been loaded yet")


def _probe(*, good: bool, bad: str) -> Response:
    return Response("ok\n" if good else f"{bad}\n", 200 if good else 503, media_type="text/plain")
