"""What protects the daemon where a browser, or any user of this machine, can reach it: on TCP.

A page of a foreign site can make a browser send requests here, and by a name that it controls even
read the answers. So the Host must be one of ours, and nothing is taken from a foreign origin
(hazards W2, W3). Any local user can connect, and so can whatever asks an address of somebody else's
choice: everything but the probes, the metrics and the login needs a token or a session.
"""

from __future__ import annotations

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Principal
from reconciler.web.access.token_file import TokenFile
from reconciler.web.problem_details import problem

OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login", "/language"})
"""The paths that are served without a token, besides those below `/static/` and `/login/`."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE = "mailcollector-session"
SAFE = frozenset({"GET", "HEAD"})
_API = ("/api/", "/openapi.json", "/-/")


class AccessGuard:
    """Passes on requests for one of `hosts`, each with its principal in the scope. Refuses the
    others with a problem, or sends a browser to the login."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], tokens: TokenFile, sessions: LoginSessions
    ) -> None:
        self._app = app
        self._hosts = LOCAL | {host.casefold() for host in hosts}
        self._tokens = tokens
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._unfit(scope, headers)
        if answer is None:
            scope["principal"] = who = self._identify(headers)
            answer = self._refusal(scope, headers, who)
        await (answer or self._app)(scope, receive, send)

    def _unfit(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not taken from anybody."""
        if "content-length" in headers and "transfer-encoding" in headers:
            # a proxy in front may have found the request's end elsewhere (RFC 9112, section 6.3)
            refusal = problem(
                400, "BadRequest", "a request has either a Content-Length or a Transfer-Encoding"
            )
            refusal.headers["Connection"] = "close"
            return refusal
        if _name(f"//{headers.get('host', '')}") not in self._hosts:
            return problem(403, "Forbidden", "this Host is not served here; use localhost")
        if scope["method"] not in SAFE and self._is_foreign(headers):
            return problem(403, "Forbidden", "requests from pages of other sites are refused")
        return None

    def _is_foreign(self, headers: Headers) -> bool:
        """Return whether a browser says that another site's page sends this."""
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return True
        origin = headers.get("origin")
        ours = {f"{scheme}://{headers.get('host', '')}" for scheme in ("http", "https")}
        return origin is not None and origin.casefold() not in {one.casefold() for one in ours}

    def _identify(self, headers: Headers) -> Principal | None:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            token = self._tokens.find(secret.strip())
            return Principal(token.name, token.role, "token") if token else None
        cookie = _cookie(headers.get("cookie", ""))
        return self._sessions.principal(cookie) if cookie else None

    def _refusal(self, scope: Scope, headers: Headers, who: Principal | None) -> Response | None:
        path = scope["path"]
        if path in OPEN or path.startswith(("/static/", "/login/")):
            return None
        if who is None and (is_api(path) or not wants_page(headers)):
            bearer = {"WWW-Authenticate": "Bearer"}
            return problem(401, "Unauthorized", "a token is needed", bearer)
        if who is None:
            return RedirectResponse(f"/login?next={quote(path)}", 303)
        if (
            who.csrf
            and is_api(path)
            and scope["method"] not in SAFE
            and headers.get("x-csrf-token") != who.csrf
        ):
            return problem(403, "Forbidden", "the header X-CSRF-Token is missing or wrong")
        return None


def wants_page(headers: Headers) -> bool:
    """Return whether a browser asks for a page; others get problems, not pages."""
    return "text/html" in headers.get("accept", "")


def is_api(path: str) -> bool:
    """Return whether a path is the API's."""
    return path.startswith(_API)


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""
