"""What protects the daemon where a browser, or any user of this machine, can reach it: on TCP,
loopback only.

A page of a foreign site can make a browser send requests here, and by a name that it controls even
read the answers. So the Host must be one of ours, and nothing is taken from a foreign origin
(hazards W2, W3). Any local user can connect, and so can whatever asks an address of somebody else's
choice: until there are tokens, only the probes and the metrics are served here, which neither
change nor tell anything of anybody's mail.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.web.problems import problem

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
"""The paths that are served without a token."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Passes on requests for an open path that come from this machine; refuses all others with
    403."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._hosts = LOCAL | {host.casefold()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complaint = self._complaint(scope) if scope["type"] == "http" else ""
        if complaint:
            await problem(403, "Forbidden", complaint)(scope, receive, send)
        elif _has_two_lengths(scope):
            refusal = problem(
                400, "BadRequest", "a request has either a Content-Length or a Transfer-Encoding"
            )
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _complaint(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(f"//{host}") not in self._hosts:
            return "this Host is not served here; use localhost"
        if scope["path"] not in OPEN:
            return (
                "only /healthz, /readyz and /metrics are served here; the rest is on the "
                "control socket"
            )
        origin = headers.get("origin")
        if (
            origin is None
            or scope["method"] in {"GET", "HEAD"}
            or origin.casefold() == f"http://{host}".casefold()
        ):
            return ""
        return "requests from pages of other sites are refused"


def _has_two_lengths(scope: Scope) -> bool:
    """Return whether a proxy in front of us may have found the request's end elsewhere (RFC 9112,
    section 6.3). What seems to follow it is then not taken for another request."""
    headers = Headers(scope=scope) if scope["type"] == "http" else {}
    return "content-length" in headers and "transfer-encoding" in headers


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""
