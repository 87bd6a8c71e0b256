"""The application: the API's operations and the page's routes, over the control service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.control.control_service import ControlService
from reconciler.control.event_loop import ThreadPool
from reconciler.model.errors import NoThread
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.access.request_log import with_request_log
from reconciler.web.access.roles import SOCKET
from reconciler.web.api.collector_actions import CollectorActions
from reconciler.web.api.collector_resources import CollectorResources
from reconciler.web.api.dialogue_resources import DialogueResources
from reconciler.web.api.event_stream import EventStream
from reconciler.web.api.manifest_resources import ManifestResources
from reconciler.web.api.operations import Operation, routes
from reconciler.web.api.pause_resources import PauseResources
from reconciler.web.api.service_resources import DaemonPaths, ServiceResources
from reconciler.web.metrics.metrics_resource import MetricsResource
from reconciler.web.problem_details import ERROR_HANDLERS


def operations(control: ControlService, paths: DaemonPaths) -> list[Operation]:
    """Return every operation of the API."""
    return [
        *CollectorResources(control).operations(),
        *DialogueResources(control).operations(),
        *CollectorActions(control).operations(),
        *ManifestResources(control).operations(),
        *EventStream(control).operations(),
        *ServiceResources(control, paths).operations(),
        *PauseResources(control).operations(),
        *MetricsResource(control, paths.metrics).operations(),
    ]


def _described(found: list[Operation]) -> list[Operation]:
    """Return the operations, and one that describes them."""

    async def describe(_request: Request) -> Response:
        # slow to import, and seldom asked for
        from reconciler.web.api.openapi_document import openapi_document  # noqa: PLC0415

        return JSONResponse(openapi_document(every, version("mailcollector")))

    own = Operation("GET", "/openapi.json", describe, "This document.", answer={"type": "object"})
    every = [*found, own]
    return every


def application(control: ControlService, paths: DaemonPaths, rules: AccessRules) -> Starlette:
    """Return the ASGI application. The server puts the principal into the scope: see `trusted`, and
    `web.access.access_guard` for TCP."""
    app = Starlette(
        routes=routes(_described(operations(control, paths))),
        exception_handlers=dict(ERROR_HANDLERS),
    )
    # not a Mount, which would also take a path of the API with a method that it does not have
    app.router.default = _on_first_use(lambda: _page(control, rules))
    return app


def _page(control: ControlService, rules: AccessRules) -> ASGIApp:
    from reconciler.web.page.page_assembly import page  # noqa: PLC0415  # slow to import
    from reconciler.web.page.page_rendering import prepare  # noqa: PLC0415

    prepare()
    return page(control, rules)


def _on_first_use(make: Callable[[], ASGIApp]) -> ASGIApp:
    """Return an application that is made at the first request, in a thread, because that takes a
    second."""
    made: list[ASGIApp] = []
    making, threads = asyncio.Lock(), ThreadPool("page", 1)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async with making:
            if not made:
                try:
                    made.append(await threads.run(make))
                except NoThread:
                    made.append(make())
                threads.close()
        await made[0](scope, receive, send)

    return serve


def trusted(app: ASGIApp) -> ASGIApp:
    """Return the application for the control socket. A process that can open the socket may do
    everything."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope["principal"] = SOCKET
        await app(
            scope, receive, with_request_log(scope, send) if scope["type"] == "http" else send
        )

    return serve
