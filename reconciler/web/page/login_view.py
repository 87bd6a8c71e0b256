"""Logging in with a token or a one-time link, logging out, and choosing the language."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.log import log
from reconciler.web.access.access_rules import AccessRules, TooManyTries
from reconciler.web.access.login_sessions import LIFETIME
from reconciler.web.access.token_file import ApiToken
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.page.page_routes import PageRoute, form_of
from reconciler.web.page.page_translation import COOKIE as LANGUAGE_COOKIE
from reconciler.web.page.page_translation import LANGUAGES

_YEAR = 365 * 86400


class LoginView:
    """The login page."""

    def __init__(self, rules: AccessRules) -> None:
        self._rules = rules

    def routes(self) -> list[PageRoute]:
        return [
            PageRoute("GET", "/login", self.show, None),
            PageRoute("POST", "/login", self.log_in, None),
            PageRoute("GET", "/login/{link}", self.redeem, None),
            PageRoute("POST", "/logout", self.log_out),
            PageRoute("GET", "/language", self.choose_language, None),
        ]

    async def show(self, request: Request) -> Response:
        return self._page(request, following=request.query_params.get("next", "/"))

    async def log_in(self, request: Request) -> Response:
        form, texts, rules = form_of(request), language_of(request), self._rules
        address, following = request.scope.get("address", ""), str(form.get("next", "/"))
        try:
            token = rules.token(address, str(form.get("token", "")).strip())
        except TooManyTries as error:
            wait = texts.gettext("Too many wrong tokens: try again in %(seconds)s s.")
            answer = self._page(request, 429, wait % {"seconds": error.pause}, following)
            answer.headers["Retry-After"] = str(error.pause)
            return answer
        if token is None:
            return self._page(request, 403, texts.gettext("There is no such token."), following)
        return self._begin(request, token, following)

    async def redeem(self, request: Request) -> Response:
        token = self._rules.sessions.redeem(request.path_params["link"])
        if token is None:
            self._rules.count_wrong_link(request.scope.get("address", ""))
            texts = language_of(request)
            return self._page(request, 403, texts.gettext("This link was used, or is too old."))
        return self._begin(request, token, "/")

    async def log_out(self, request: Request) -> Response:
        self._rules.sessions.end(self._rules.sent_cookie(request.headers))
        answer = RedirectResponse("/login", 303, HEADERS)
        answer.delete_cookie(
            self._rules.cookie, "/", secure=self._rules.secure, httponly=True, samesite="strict"
        )
        return answer

    async def choose_language(self, request: Request) -> Response:
        answer = RedirectResponse(local_path(request.query_params.get("next", "/")), 303, HEADERS)
        code = request.query_params.get("to", "")
        if code in LANGUAGES:
            answer.set_cookie(
                LANGUAGE_COOKIE,
                code,
                max_age=_YEAR,
                secure=self._rules.secure,
                httponly=True,
                samesite="strict",
            )
        return answer

    def _begin(self, request: Request, token: ApiToken, following: str) -> Response:
        address = request.scope.get("address") or None
        log.info("logged in", by=token.name, role=token.role.value, address=address)
        answer = RedirectResponse(local_path(following), 303, HEADERS)
        answer.set_cookie(
            self._rules.cookie,
            self._rules.sessions.cookie(token),
            max_age=LIFETIME,
            path="/",
            secure=self._rules.secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    def _page(
        self, request: Request, status: int = 200, wrong: str = "", following: str = "/"
    ) -> Response:
        return render(
            request,
            "login.html",
            status,
            wrong=wrong,
            following=local_path(following),
            shown_at=f"/login?{urlencode({'next': local_path(following)})}",
            has_tokens=bool(self._rules.tokens.tokens()),
        )


def local_path(path: str) -> str:
    """Return the path if it is one of this site; else `/`."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if good and path.isprintable() else "/"
