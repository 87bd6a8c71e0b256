"""How many requests are answered at once. Streams last long, and each user may open many of them.
So the rest of the connections is reserved for the probes."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.web.problem_details import problem

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are served to everybody, without a check of who asks."""
_BUSY = problem(
    503, "Busy", "too many requests at once: close some event streams", {"Retry-After": "5"}
)


class RequestLimit:
    """Answers at most `most` requests at once, besides probes."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_probe(scope["path"]):
            await self._app(scope, receive, send)
        elif self._serving >= self._most:
            await _BUSY(scope, receive, send)
        else:
            self._serving += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._serving -= 1


def is_probe(path: str) -> bool:
    """Return whether a path is open to everybody, and answered fast."""
    return path in PROBES or path.startswith("/static/")
