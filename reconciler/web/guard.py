"""What protects the API where a browser can reach it: on TCP, loopback only (hazards W2, W3).

A page of a foreign site can make a browser send requests here, and by a name that it controls even read the answers.
So the Host must be one of ours, and what changes something must not come from a foreign origin.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Passes on what comes from this machine and for it; refuses the rest with 403."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._hosts = LOCAL | {host.casefold()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complaint = self._complaint(scope) if scope["type"] == "http" else ""
        if complaint:
            answer = JSONResponse({"error": {"reason": "Forbidden", "message": complaint}}, 403)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _complaint(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(f"//{host}") not in self._hosts:
            return "this Host is not served here; use localhost"
        origin = headers.get("origin")
        if origin is None or scope["method"] in {"GET", "HEAD"} or origin.casefold() == f"http://{host}".casefold():
            return ""
        return "requests from pages of other sites are refused"


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""
