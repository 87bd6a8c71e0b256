"""The page of the manifests: what is wrong with them, what is not in force yet, what is held."""

from __future__ import annotations

from collections import Counter

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.control.held_changes import HeldKind
from reconciler.planning.plan_report import plan_as_data
from reconciler.web.access.roles import Role
from reconciler.web.page.page_notices import with_notice
from reconciler.web.page.page_rendering import HEADERS, render
from reconciler.web.page.page_routes import PageRoute, form_of

PATH = "/manifests"
_DIAGNOSTICS = 200
_STEPS = 100


class ManifestsView:
    """The page, reading everything again, and confirming that collectors are removed."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", PATH, self.show),
            PageRoute("POST", f"{PATH}/reload", self.reload, Role.OPERATE),
            PageRoute("POST", f"{PATH}/confirm", self.confirm, Role.EDIT),
            PageRoute("POST", f"{PATH}/reroute", self.reroute, Role.EDIT),
        ]

    async def show(self, request: Request) -> Response:
        control = self._control
        counts = Counter(str(one.severity) for one in control.diagnostics)
        held = control.held()
        last = plan_as_data(control.last_plan, {}, control.started_at)
        return render(
            request,
            "manifests.html",
            directory=str(control.manifests.directory),
            revision=control.revision,
            trouble=control.trouble,
            counts=counts,
            found=await control.excerpts(_DIAGNOSTICS),
            more=max(0, len(control.diagnostics) - _DIAGNOSTICS),
            plan=await control.plan(),
            changed=[
                step for step in last["steps"] if step["step"] in {"Start", "Replace", "Stop"}
            ][:_STEPS],
            never=[one.name for one in held if one.kind is HeldKind.INVALID],
            held=[(one.name, one.reason) for one in held if one.kind is HeldKind.RENAMING],
            removed=[one for one in held if one.kind is HeldKind.REMOVED],
            vanished=[one for one in held if one.kind is HeldKind.VANISHED],
            rerouted=[one for one in held if one.kind is HeldKind.REROUTED],
        )

    async def reload(self, _request: Request) -> Response:
        await self._control.reload()
        return RedirectResponse(with_notice(PATH, "reload"), 303, HEADERS)

    async def confirm(self, request: Request) -> Response:
        """Confirm the removal of these collectors, as far as they are still held."""
        names = set(map(str, form_of(request).getlist("names")))
        held = [one.name for one in self._control.held() if one.removed and one.name in names]
        if not held:
            raise HTTPException(409, "none of these collectors is held any more")
        for name in held:
            await self._control.confirm_removed(name)
        return RedirectResponse(with_notice(PATH, "delete", len(held)), 303, HEADERS)

    async def reroute(self, request: Request) -> Response:
        """Confirm the held change of the default Destination, if it is still the one that was
        shown."""
        reason = str(form_of(request).get("reason", ""))
        held = [one for one in self._control.held() if one.kind is HeldKind.REROUTED]
        if reason not in {one.reason for one in held}:
            raise HTTPException(409, "this change of the default Destination is not held any more")
        await self._control.confirm_rerouting(reason)
        return RedirectResponse(with_notice(PATH, "reroute", len(held)), 303, HEADERS)
