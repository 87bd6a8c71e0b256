"""The routes of the API, over `control.control_service.ControlService`. Everything is JSON or
server-sent events."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from reconciler.control.control_service import ControlService, NotFound
from reconciler.control.event_loop import ThreadPool
from reconciler.control.loop import SessionRefused
from reconciler.log import log
from reconciler.model.errors import CollectorError, LedgerUnavailable
from reconciler.model.outcomes import SessionReport
from reconciler.model.selectors import selector
from reconciler.model.status import Shown
from reconciler.model.timestamps import timestamp
from reconciler.web.problems import problem

_STILL_THERE = 15.0
"""Seconds of silence after which an event stream says that it is alive."""


class DaemonPaths(Struct, frozen=True):
    """The directories of this daemon."""

    manifests: Path
    state_dir: Path


class Api:
    """The endpoints, each a function of a request."""

    def __init__(self, control: ControlService, paths: DaemonPaths) -> None:
        self._control = control
        self._paths = paths
        self._drawing = ThreadPool("metrics", 1)
        self._scraping = asyncio.Lock()
        self._scrapes: dict[str, asyncio.Task[tuple[bytes, str]]] = {}
        """Those that were not begun yet, by their `Accept`: who asks meanwhile gets the same."""

    async def collectors(self, request: Request) -> Response:
        try:
            wanted = [selector(text) for text in request.query_params.getlist("label")]
        except ValueError as error:
            raise HTTPException(400, f"label: {error}") from error
        return _json(self._control.list(request.query_params.get("search", ""), wanted))

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

    async def collector(self, request: Request) -> Response:
        return _json(await self._control.describe(request.path_params["name"]))

    async def collect(self, request: Request) -> Response:
        name = request.path_params["name"]
        asked = self._control.collect(name, force=_flag(request, "force"))
        if not _flag(request, "wait"):
            return JSONResponse({}, 202)
        return _stream(self._progress(name, asked))

    async def _progress(
        self, collector: str, asked: asyncio.Future[SessionReport]
    ) -> AsyncIterator[str]:
        async for session in self._control.follow(collector, asked):
            name = "progress" if session.finished_at is None else "finished"
            yield _event(name, session.model_dump_json(by_alias=True))

    async def clear(self, request: Request) -> Response:
        cleared = await self._control.clear(request.path_params["name"])
        return JSONResponse({"epoch": cleared.epoch, "forgotten": cleared.forgotten})

    async def unpark(self, request: Request) -> Response:
        return JSONResponse({"unparked": await self._control.unpark(request.path_params["name"])})

    async def accept_maildirs(self, request: Request) -> Response:
        await self._control.accept_maildirs(request.path_params["name"])
        return JSONResponse({})

    async def check(self, request: Request) -> Response:
        return _json(
            await self._control.check(request.path_params["name"], force=_flag(request, "force"))
        )

    async def reload(self, _request: Request) -> Response:
        done = await self._control.reload()
        return JSONResponse({"plan": done.count(), "diagnostics": self._diagnostics()})

    async def events(self, _request: Request) -> Response:
        return _stream(self._changes())

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
                        _event("removed", json.dumps({"name": name}))
                        if found is None
                        else _event("collector", found.model_dump_json(by_alias=True))
                    )

    async def removed(self, request: Request) -> Response:
        await self._control.confirm_removed(request.path_params["name"])
        return JSONResponse({})

    async def in_force(self, _request: Request) -> Response:
        return _json(await self._control.in_force())

    async def info(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "version": version("mailcollector"),
                "pid": os.getpid(),
                "manifests": str(self._paths.manifests.absolute()),
                "stateDir": str(self._paths.state_dir.absolute()),
                "startedAt": timestamp(self._control.started_at),
                "trouble": self._control.trouble or None,
                "diagnostics": self._diagnostics(),
            }
        )

    async def diagnostics(self, _request: Request) -> Response:
        return JSONResponse(self._diagnostics())

    def _diagnostics(self) -> list[dict[str, object]]:
        return [found.as_json() for found in self._control.diagnostics]

    async def metrics(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        if accept not in self._scrapes:
            self._scrapes[accept] = asyncio.create_task(self._scrape(accept), name="metrics")
        text, media_type = await asyncio.shield(self._scrapes[accept])
        return Response(text, headers={"Content-Type": media_type})

    async def _scrape(self, accept: str) -> tuple[bytes, str]:
        from reconciler.web.metrics import metrics  # noqa: PLC0415  # only where somebody scrapes

        async with self._scraping:
            del self._scrapes[accept]
            return await self._drawing.run(
                metrics,
                self._control.list(),
                self._control.diagnostics,
                version("mailcollector"),
                accept,
                self._control.internal_errors,
            )

    async def healthy(self, _request: Request) -> Response:
        return _probe(good=self._control.healthy, bad="the control loop has not moved lately")

    async def ready(self, _request: Request) -> Response:
        return _probe(good=self._control.ready, bad="the manifests have not been loaded yet")


def application(control: ControlService, paths: DaemonPaths) -> Starlette:
    """The API as an ASGI application, for the control socket; see `web.request_guard` for TCP."""
    api = Api(control, paths)
    one = "/api/v1/collectors/{name}"
    routes = [
        Route("/api/v1/collectors", api.collectors),
        Route("/api/v1/summary", api.summary),
        Route(one, api.collector),
        Route(f"{one}/collect", api.collect, methods=["POST"]),
        Route(f"{one}/clear", api.clear, methods=["POST"]),
        Route(f"{one}/unpark", api.unpark, methods=["POST"]),
        Route(f"{one}/accept-maildirs", api.accept_maildirs, methods=["POST"]),
        Route(f"{one}/check", api.check, methods=["POST"]),
        Route("/api/v1/events", api.events),
        Route("/api/v1/in-force", api.in_force),
        Route("/api/v1/info", api.info),
        Route("/api/v1/removed/{name}", api.removed, methods=["POST"]),
        Route("/api/v1/diagnostics", api.diagnostics),
        Route("/-/reload", api.reload, methods=["POST"]),
        Route("/metrics", api.metrics),
        Route("/healthz", api.healthy),
        Route("/readyz", api.ready),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _refused, CollectorError: _failed, Exception: _defect},
    )


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in {"true", "false"}:
        raise HTTPException(400, f"{name} is true or false")
    return text == "true"


def _json(found: Shown | Iterable[Shown]) -> Response:
    if isinstance(found, Shown):
        return Response(found.model_dump_json(by_alias=True), media_type="application/json")
    listed = ",".join(one.model_dump_json(by_alias=True) for one in found)
    return Response(f"[{listed}]", media_type="application/json")


def _stream(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _probe(*, good: bool, bad: str) -> Response:
    return Response("ok\n" if good else f"{bad}\n", 200 if good else 503, media_type="text/plain")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # what the handler is registered for
    reasons = {400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed"}
    return problem(error.status_code, reasons.get(error.status_code, "Refused"), error.detail)


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CollectorError)  # noqa: S101  # what the handler is registered for
    match error:
        case NotFound():
            return problem(404, error.reason, str(error))
        case SessionRefused(next_attempt=at) if at is not None:
            return problem(409, error.reason, str(error), nextAttempt=timestamp(at))
        case LedgerUnavailable():
            return problem(503, error.reason, str(error))
        case _:
            return problem(409, error.reason, str(error))


async def _defect(request: Request, error: Exception) -> Response:
    """Answer for a defect. Neither the answer nor the log quotes the error: its text may contain
    anything."""
    log.error("defect in the API", path=request.url.path, error=type(error).__name__)
    return problem(500, "InternalError", "a defect of mailcollector; its log says more")
