"""Changes of manifests over the API: add, change, delete, enable, disable; each may be tried."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.event_loop import ThreadPool
from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeclaredManifest,
    DeleteManifest,
    EtagCondition,
    ManifestChange,
    ReplaceManifest,
    SwitchManifest,
)
from reconciler.control.manifest_service import ProposedChange
from reconciler.control.manifest_writing import AppliedChange
from reconciler.model.spec import MailCollector
from reconciler.web.access.roles import Role, require_role
from reconciler.web.api.collector_resources import COLLECTOR
from reconciler.web.api.described_collector import describe_collector, etag
from reconciler.web.api.manifest_bodies import condition, manifest_of
from reconciler.web.api.operations import DRY_RUN, Handler, Operation, flag

COLLECTORS = "/api/v1/collectors"
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the manifest to change, or `*`. Needed where it says so (428).",
    "schema": {"type": "string"},
}
_ANSWER = {"type": "object"}
_TRIAL = {
    "type": "object",
    "required": ["plan", "consequences", "manifest", "yaml", "diff", "path", "writable"],
    "properties": {
        "plan": {
            "type": "object",
            "required": ["changed", "counts", "steps"],
            "properties": {
                "changed": {"type": "boolean"},
                "counts": {"type": "object"},
                "steps": {"type": "array", "items": {"type": "object"}},
            },
        },
        "consequences": {"type": "array", "items": {"type": "string"}},
        "manifest": {"type": ["object", "null"]},
        "yaml": {"type": ["string", "null"]},
        "diff": {"type": "string"},
        "path": {"type": "string"},
        "writable": {"type": "boolean"},
    },
}
_BODIES = ("application/json", "application/yaml")
_ERRORS = (400, 404, 409, 412, 422, 503)


class ManifestResources:
    """The operations that change manifest files."""

    def __init__(self, control: ControlService) -> None:
        self._control = control
        self._threads = ThreadPool("bodies", 1)

    def operations(self) -> list[Operation]:
        def operation(
            method: str, path: str, handler: Handler, summary: str, **more: Any
        ) -> Operation:
            usual: dict[str, Any] = {
                "role": Role.EDIT,
                "answer": _ANSWER,
                "errors": _ERRORS,
                "query": (DRY_RUN,),
                "headers": (_IF_MATCH,),
            }
            return Operation(method, path, handler, summary, **usual | more)

        sent: dict[str, Any] = {"body": MailCollector, "body_types": _BODIES}
        switching: dict[str, Any] = {"role": Role.OPERATE}
        return [
            operation(
                "POST",
                COLLECTORS,
                self.create,
                "Declare a collector.",
                status=201,
                also={200: _TRIAL},
                errors=(*_ERRORS, 413, 415),
                headers=(),
                **sent,
            ),
            operation(
                "PUT",
                COLLECTOR,
                self.replace,
                "Change a collector's manifest.",
                errors=(*_ERRORS, 413, 415, 428),
                **sent,
            ),
            operation(
                "DELETE",
                COLLECTOR,
                self.delete,
                "Remove a collector's manifest.",
                status=204,
                answer=None,
                also={200: _TRIAL},
                errors=(*_ERRORS, 428),
            ),
            operation("POST", f"{COLLECTOR}/enable", self.enable, "Enable it.", **switching),
            operation("POST", f"{COLLECTOR}/disable", self.disable, "Disable it.", **switching),
        ]

    async def create(self, request: Request) -> Response:
        asked = CreateManifest(await manifest_of(request, self._threads))
        if flag(request, DRY_RUN.name):
            return await self._proposed(asked, None)
        done = await self._applied(request, asked, None)
        name = done.draft.change.name
        where = {"Location": f"{COLLECTORS}/{name}"}
        return await describe_collector(self._control, request, name, 201, _git(done), where)

    async def replace(self, request: Request) -> Response:
        trial, name = flag(request, DRY_RUN.name), request.path_params["name"]
        matching = condition(request, needed=not trial)
        asked = ReplaceManifest(name, await manifest_of(request, self._threads))
        return await self._changed(request, asked, matching, trial=trial)

    async def delete(self, request: Request) -> Response:
        trial, name = flag(request, DRY_RUN.name), request.path_params["name"]
        matching = condition(request, needed=not trial)
        if trial:
            return await self._proposed(DeleteManifest(name), matching)
        await self._applied(request, DeleteManifest(name), matching)
        return Response(status_code=204)

    async def enable(self, request: Request) -> Response:
        return await self._switch(request, enabled=True)

    async def disable(self, request: Request) -> Response:
        return await self._switch(request, enabled=False)

    async def _switch(self, request: Request, *, enabled: bool) -> Response:
        asked = SwitchManifest(request.path_params["name"], enabled)
        matching = condition(request, needed=False)
        return await self._changed(request, asked, matching, trial=flag(request, DRY_RUN.name))

    async def _changed(
        self,
        request: Request,
        asked: ReplaceManifest | SwitchManifest,
        matching: EtagCondition | None,
        *,
        trial: bool,
    ) -> Response:
        if trial:
            return await self._proposed(asked, matching)
        done = await self._applied(request, asked, matching)
        return await describe_collector(self._control, request, asked.name, more=_git(done))

    async def _applied(
        self, request: Request, asked: ManifestChange, matching: EtagCondition | None
    ) -> AppliedChange:
        by = require_role(request, Role.OPERATE).name
        return await self._control.manifests.apply(asked, by, matching)

    async def _proposed(self, asked: ManifestChange, matching: EtagCondition | None) -> Response:
        found = await self._control.manifests.propose(asked, matching)
        found.draft.require_valid()
        return JSONResponse(_dry_run_answer(found), headers=_etag(found.draft.before))


def _dry_run_answer(found: ProposedChange) -> dict[str, Any]:
    draft = found.draft
    return {
        "plan": found.plan,
        "consequences": found.consequences,
        "manifest": draft.after.data if draft.after else None,
        "yaml": draft.after.text if draft.after else None,
        "diff": draft.diff,
        "path": draft.relative,
        "writable": found.writable,
    }


def _etag(before: DeclaredManifest | None) -> dict[str, str]:
    return etag(before) if before else {}


def _git(done: AppliedChange) -> dict[str, str]:
    """Return the members of the answer about git, if a commit was asked for."""
    facts = {"commit": done.commit, "trouble": done.trouble}
    return {key: text for key, text in facts.items() if text}
