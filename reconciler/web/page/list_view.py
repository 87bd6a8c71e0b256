"""The list of collectors."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.web.page.page_rendering import render
from reconciler.web.page.page_routes import PageRoute


class ListView:
    """The list of collectors: what needs attention first, then all of them."""

    def __init__(self, control: ControlService) -> None:
        self._control = control

    def routes(self) -> list[PageRoute]:
        return [PageRoute("GET", "/", self.show)]

    async def show(self, request: Request) -> Response:
        search = request.query_params.get("search", "")
        return render(request, "list.html", collectors=self._control.list(search), search=search)
