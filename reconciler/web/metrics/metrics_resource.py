"""`GET /metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from reconciler.control.control_service import ControlService
from reconciler.control.event_loop import ThreadPool
from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.model.settings import MetricsMode
from reconciler.web.api.operations import Operation


class MetricsResource:
    """Draws the metrics in a thread of its own, one answer after the other."""

    def __init__(self, control: ControlService, mode: MetricsMode | None = None) -> None:
        self._control = control
        self._mode = mode
        self._drawing = ThreadPool("metrics", 1)
        self._scraping = asyncio.Lock()
        self._scrapes: dict[str, asyncio.Task[tuple[bytes, str]]] = {}
        """Answers that were not begun yet, by their `Accept`. Requests that come meanwhile get
        the same one."""

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/metrics",
                self.metrics,
                "Figures for Prometheus.",
                None,
                answer={"type": "string"},
                media_type="text/plain",
            )
        ]

    async def metrics(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        if accept not in self._scrapes:
            self._scrapes[accept] = asyncio.create_task(self._scrape(accept), name="metrics")
        text, media_type = await asyncio.shield(self._scrapes[accept])
        return Response(text, headers={"Content-Type": media_type})

    async def _scrape(self, accept: str) -> tuple[bytes, str]:
        async with self._scraping:
            del self._scrapes[accept]
            return await self._drawing.run(
                draw, await self._control.snapshot(), self._control.ledger_size, self._mode, accept
            )


def draw(
    snapshot: ServiceSnapshot,
    ledger_size: Callable[[], int | None],
    mode: MetricsMode | None,
    accept: str,
) -> tuple[bytes, str]:
    """Return the text and its media type. Blocking."""
    from reconciler.web.metrics.exposition import (  # noqa: PLC0415  # only where somebody scrapes
        MetricsFacts,
        exposition_text,
    )

    return exposition_text(
        MetricsFacts(snapshot, version("mailcollector"), mode, ledger_size()), accept
    )
