"""The guard before the routes on TCP, which browsers and all users of this machine can reach.

Any local user can connect. So can a program that was sent here by an address of somebody else's
choice. Everything but the probes, the metrics and the login needs a token or a session (hazard W5).
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.log import log
from reconciler.web.access.access_rules import AccessRules, TooManyTries
from reconciler.web.access.answer_headers import with_security_headers
from reconciler.web.access.request_limit import is_probe
from reconciler.web.access.request_log import with_request_log
from reconciler.web.access.request_origins import sent_by_browser
from reconciler.web.access.roles import Principal
from reconciler.web.access.stream_guard import serve_admitted
from reconciler.web.access.token_file import TokenRefused
from reconciler.web.access.trusted_proxy import without_identity
from reconciler.web.problem_details import problem

OPEN = frozenset({"/login", "/language"})
"""Pages that are served to everybody, besides those below `/login/` and `/consent/`."""
SAFE = frozenset({"GET", "HEAD"})
_API = ("/api/", "/openapi.json", "/-/")
_BEARER = {"WWW-Authenticate": "Bearer"}
_UNUSABLE = "the file of tokens cannot be used; the log says more"


class AccessGuard:
    """An ASGI application that passes on permitted requests, each with its principal in the scope.
    It refuses the others with a problem, or sends a browser to the login."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._logged = ""
        """The reason, logged last, why the file of tokens cannot be used."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        scope["address"] = self._rules.proxies.client(peer, headers)
        answer = self._general_refusal(scope, headers) or self._admit(scope, peer, headers)
        scope["headers"] = without_identity(scope["headers"])
        passed = with_request_log(scope, with_security_headers(send))
        who = scope.get("principal")
        if answer is not None or who is None:
            await (answer or self._app)(scope, receive, passed)
        else:
            sent = Headers(scope=scope)
            await serve_admitted(
                self._app, scope, receive, passed, lambda: self._rules.holds(who, sent)
            )

    def _general_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of a request that nobody may send; None where it is
        not."""
        if "content-length" in headers and "transfer-encoding" in headers:
            # a proxy in front may have found the request's end elsewhere (RFC 9112, section 6.3)
            refusal = problem(
                400, "BadRequest", "a request has either a Content-Length or a Transfer-Encoding"
            )
            refusal.headers["Connection"] = "close"
            return refusal
        if not self._rules.origins.serves(scope, headers):
            return problem(
                403,
                "Forbidden",
                "this Host is not served here; use localhost, or name it with --public-url",
            )
        if scope["method"] not in SAFE and self._rules.origins.is_foreign(headers):
            return problem(403, "Forbidden", "requests from pages of other sites are refused")
        return None

    def _admit(self, scope: Scope, peer: str, headers: Headers) -> Response | None:
        """Find out who asks, and return the answer to somebody who may not."""
        path = scope["path"]
        if is_probe(path):
            return None
        try:
            self._rules.tokens.tokens()  # without its file nobody gets in, however they come
            scope["principal"] = who = self._identify(scope["address"], peer, headers)
        except TooManyTries as error:
            return error.answer()
        except TokenRefused as error:
            self._tell(str(error))
            return problem(503, error.reason, _UNUSABLE)
        if path in OPEN or path.startswith(("/login/", "/consent/")):
            return None
        return self._refusal(scope, headers, who)

    def _identify(self, address: str, peer: str, headers: Headers) -> Principal | None:
        if "authorization" in headers:
            scheme, _, secret = headers["authorization"].partition(" ")
            if scheme.casefold() == "bearer":
                token = self._rules.token(address, secret.strip())
                return Principal(token.name, token.role, "token") if token else None
        session = self._rules.session(headers)
        return session or self._rules.proxied(peer, headers)

    def _refusal(self, scope: Scope, headers: Headers, who: Principal | None) -> Response | None:
        path = scope["path"]
        if who is None and (is_api(path) or not wants_page(headers)):
            return problem(401, "Unauthorized", "a token is needed", _BEARER)
        if who is None:
            query = scope["query_string"].decode("ascii", "replace")
            following = f"{path}?{query}" if query and scope["method"] in SAFE else path
            return RedirectResponse(f"/login?next={quote(following)}", 303)
        if is_api(path) and scope["method"] not in SAFE and _is_forged(headers, who):
            return problem(403, "Forbidden", "the header X-CSRF-Token is missing or wrong")
        return None

    def _tell(self, trouble: str) -> None:
        """Log why the file of tokens cannot be used, once until that changes."""
        if trouble != self._logged:
            log.error(_UNUSABLE.partition(";")[0], error=trouble)
        self._logged = trouble


def wants_page(headers: Headers) -> bool:
    """Return whether a browser asks for a page. Other requests are refused with a problem, not a
    page."""
    return "text/html" in headers.get("accept", "")


def is_api(path: str) -> bool:
    """Return whether a path is the API's."""
    return path.startswith(_API)


def _is_forged(headers: Headers, who: Principal) -> bool:
    """Return whether a request lacks the CSRF token, which only our own pages know. A program
    behind a proxy needs none, because no page can make it send something."""
    if not who.csrf or (who.how == "proxy" and not sent_by_browser(headers)):
        return False
    return not who.sent_by_own_page(headers.get("x-csrf-token", ""))
