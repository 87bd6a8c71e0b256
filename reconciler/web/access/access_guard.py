"""What protects the daemon where a browser, or any user of this machine, can reach it: on TCP.

A page of a foreign site can make a browser send requests here, and by a name that it controls even
read the answers. So the Host must be one of ours, and nothing is taken from a foreign origin
(hazards W2, W3). Any local user can connect, and so can whatever asks an address of somebody else's
choice: everything but the probes, the metrics and the login needs a token or a session.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.log import log
from reconciler.web.access.access_rules import AccessRules
from reconciler.web.access.roles import Principal
from reconciler.web.access.token_file import TokenRefused
from reconciler.web.problem_details import problem

OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login", "/language"})
"""The paths that are served without a token, besides those below `/static/` and `/login/`."""
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE = frozenset({"GET", "HEAD"})
_CHANGES_NOTHING = frozenset({"/form/preview"})
"""Paths of requests that are sent while somebody types."""
_API = ("/api/", "/openapi.json", "/-/")


class AccessGuard:
    """Passes on requests for one of `hosts`, each with its principal in the scope. Refuses the
    others with a problem, or sends a browser to the login. Logs each request that changes
    something."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], rules: AccessRules) -> None:
        self._app = app
        self._hosts = LOCAL | {host.casefold() for host in hosts}
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        scope["address"] = self._rules.proxies.client(peer, headers)
        answer = self._unfit(scope, headers)
        if answer is None:
            try:
                scope["principal"] = who = self._identify(scope, peer, headers)
            except _TooManyTries as error:
                answer = too_many_tries(error.pause)
            except TokenRefused as error:
                answer = problem(
                    503, error.reason, "the file of tokens cannot be used; see the log"
                )
                # no traceback: this is no defect
                log.error("the file of tokens cannot be used", error=str(error))  # noqa: TRY400
            else:
                answer = self._refusal(scope, headers, who)
        await (answer or self._app)(scope, receive, _logging(scope, _hardened(send)))

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
        site = headers.get("sec-fetch-site", "none")
        if site not in {"same-origin", "none"}:
            return True
        origin = headers.get("origin")
        if origin == "null" and site == "same-origin":
            return False  # a form of a page that sends no referrer (Fetch, section 3.1)
        ours = {f"{scheme}://{headers.get('host', '')}" for scheme in ("http", "https")}
        return origin is not None and origin.casefold() not in {one.casefold() for one in ours}

    def _identify(self, scope: Scope, peer: str, headers: Headers) -> Principal | None:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            return self._bearer(scope["address"], secret.strip())
        cookie = _cookie(headers.get("cookie", ""), self._rules.cookie)
        session = self._rules.sessions.principal(cookie) if cookie else None
        return session or self._rules.proxies.principal(peer, headers)

    def _bearer(self, address: str, secret: str) -> Principal | None:
        if pause := self._rules.limits.pause(address):
            raise _TooManyTries(pause)
        token = self._rules.tokens.find(secret)
        if token is None:
            self._rules.limits.failed(address)
            return None
        return Principal(token.name, token.role, "token")

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
            and not hmac.compare_digest(headers.get("x-csrf-token", "").encode(), who.csrf.encode())
        ):
            return problem(403, "Forbidden", "the header X-CSRF-Token is missing or wrong")
        return None


class _TooManyTries(Exception):
    """A wrong token was tried too often. `pause`: seconds until the next one is looked at."""

    def __init__(self, pause: int) -> None:
        super().__init__(pause)
        self.pause = pause


def too_many_tries(pause: int) -> Response:
    """Return the answer to a token that is not looked at now (RFC 6585, section 4)."""
    return problem(
        429,
        "TooManyRequests",
        f"too many wrong tokens: try again in {pause} s",
        {"Retry-After": str(pause)},
    )


def _hardened(send: Send) -> Send:
    """Add to each answer that a browser shall not guess its type."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return sent


def _logging(scope: Scope, send: Send) -> Send:
    """Log who asked for a change, with the status of the answer."""
    if scope["method"] in SAFE or scope["path"] in _CHANGES_NOTHING:
        return send

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            who = scope.get("principal")
            log.info(
                "requested",
                by=who.name if who else None,
                how=who.how if who else None,
                address=scope["address"],
                method=scope["method"],
                path=scope["path"],
                status=message["status"],
            )
        await send(message)

    return sent


def wants_page(headers: Headers) -> bool:
    """Return whether a browser asks for a page; others get problems, not pages."""
    return "text/html" in headers.get("accept", "")


def is_api(path: str) -> bool:
    """Return whether a path is the API's."""
    return path.startswith(_API)


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""
