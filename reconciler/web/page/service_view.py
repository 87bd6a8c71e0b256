"""The page of the whole service: its facts, its pause, and its state."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.control.control_service import ControlService
from reconciler.web.access.roles import Role, require_role
from reconciler.web.page.page_notices import with_notice
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of
from reconciler.web.page.reason_words import BY_URGENCY, state_words

PATH = "/service"


class ServiceView:
    """The page, and pausing and resuming from it."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", PATH, self.show),
            PageRoute("POST", f"{PATH}/pause", self.pause, Role.OPERATE),
            PageRoute("POST", f"{PATH}/resume", self.resume, Role.OPERATE),
        ]

    async def show(self, request: Request) -> Response:
        control, language = self._control, language_of(request)
        overview = await control.overview()
        return render(
            request,
            "service.html",
            version=version("mailcollector"),
            started=control.started_at,
            uptime=language.length(datetime.now(UTC) - control.started_at),
            paused=control.paused,
            healthy=control.healthy,
            trouble=control.trouble,
            defects=control.internal_errors,
            directory=str(control.manifests.directory),
            revision=control.revision,
            total=overview.total,
            states=[
                (state.value, state_words(state, language), overview.states[state])
                for state in BY_URGENCY
                if overview.states.get(state)
            ],
            sessions=control.sessions_now(),
        )

    async def pause(self, request: Request) -> Response:
        who = require_role(request, Role.OPERATE)
        await self._control.pause(who.name, str(form_of(request).get("reason", "")))
        return RedirectResponse(with_notice(PATH, "pause"), 303, HEADERS)

    async def resume(self, request: Request) -> Response:
        await self._control.resume(require_role(request, Role.OPERATE).name)
        return RedirectResponse(with_notice(PATH, "resume"), 303, HEADERS)
