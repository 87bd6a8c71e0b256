"""The page's routes. One wrapper checks the role, parses the sent form, and checks that it came
from a page of this session (hazard W2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from msgspec import Struct
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.model.errors import CollectorError
from reconciler.web.access.access_guard import is_api, wants_page
from reconciler.web.access.roles import Role, principal, require_role
from reconciler.web.page.page_rendering import HEADERS, language_of, render
from reconciler.web.problem_details import (
    ERROR_HANDLERS,
    answer_nobody,
    log_defect,
    status_of,
)
from reconciler.web.request_bodies import bounded

Handle = Callable[[Request], Awaitable[Response]]
_LARGEST, _LARGEST_FOR_ANYBODY = 8 << 20, 64 << 10
"""Bytes of a form, as its encoding makes a text of Cyrillic three times as long; and of one that
somebody sends who has not logged in."""
_FIELDS = 12_000
"""Fields of a form at most: the list sends one for each selected collector."""


class PageRoute(Struct, frozen=True):
    """One method of one path of the page. `role`: what it needs; None is open to everybody."""

    method: str
    path: str
    handler: Handle
    role: Role | None = Role.VIEW


def page_application(pages: Iterable[PageRoute]) -> ASGIApp:
    """Return the page as an application of its own. Its errors are pages."""
    by_path: dict[str, dict[str, Handle]] = {}
    for one in pages:
        by_path.setdefault(one.path, {})[one.method] = _wrapped(one)
    app = Starlette(
        routes=[
            Route(path, _dispatched(methods), methods=sorted(methods))
            for path, methods in by_path.items()
        ],
        exception_handlers={
            HTTPException: _show_http_error,
            CollectorError: _show_collector_error,
            ClientDisconnect: answer_nobody,
            Exception: _show_defect,
        },
    )

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        answer = _refusal_page(scope) if "refusal" in scope else app
        await answer(scope, receive, send)

    return serve


def _refusal_page(scope: Scope) -> Response:
    """Return the page with a refusal from before the routes (`web.refusal_pages`)."""
    status, message, headers = scope["refusal"]
    answer = render(Request(scope), "error.html", status, status_code=status, message=message)
    answer.headers.update(headers)
    return answer


def _dispatched(methods: Mapping[str, Handle]) -> Handle:
    """Return the handler of all methods of a path: a refused one is told which there are."""

    async def serve(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return serve


def form_of(request: Request) -> FormData:
    """Return what a form sent; the wrapper has parsed it."""
    found: FormData = request.state.form
    return found


def _wrapped(page: PageRoute) -> Handle:
    async def serve(request: Request) -> Response:
        if page.role is not None:
            require_role(request, page.role)
        if page.method == "POST":
            most = _LARGEST_FOR_ANYBODY if page.role is None else _LARGEST
            request.state.form = await _sent_form(bounded(request, most, fields=_FIELDS))
            if page.role is not None:
                _require_own_form(request)
        return await page.handler(request)

    return serve


async def _sent_form(request: Request) -> FormData:
    try:
        return await request.form(max_fields=_FIELDS, max_files=0)
    except HTTPException as error:  # its text is the parser's
        raise HTTPException(
            error.status_code, "this form cannot be read, or is too long"
        ) from error


def _require_own_form(request: Request) -> None:
    who = principal(request)
    sent = str(form_of(request).get("csrf", ""))
    if who is not None and who.csrf and not who.sent_by_own_page(sent):
        raise HTTPException(403, "this form is not from a page of your session: load it again")


async def _show_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # what the handler is registered for
    if error.status_code == 405 and request.method == "GET" and wants_page(request.headers):
        return RedirectResponse(_page_above(request), 303, HEADERS)
    answer = await _shown(request, error, error.status_code, error.detail)
    for name, value in (error.headers or {}).items():
        answer.headers.setdefault(name, value)
    return answer


def _page_above(request: Request) -> str:
    """Return the nearest page above an address that only takes forms. A login, another language
    or a restart of the browser leads there, where the form stands."""
    path = request.url.path
    while path := path.rpartition("/")[0]:
        scope = {**request.scope, "path": path}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            return path
    return "/"


async def _show_collector_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CollectorError)  # noqa: S101  # what the handler is registered for
    return await _shown(request, error, status_of(error), str(error))


async def _show_defect(request: Request, error: Exception) -> Response:
    log_defect("defect in the page", request, error)
    texts = language_of(request)
    message = texts.gettext("A defect of mailcollector; its log says more.")
    return render(request, "error.html", 500, status_code=500, message=message)


async def _shown(request: Request, error: Exception, status: int, message: str) -> Response:
    """Return a page with the error, or the API's problem for a client that did not ask for a
    page."""
    if is_api(request.url.path) or not wants_page(request.headers):
        kind = HTTPException if isinstance(error, HTTPException) else CollectorError
        answer: Response = await ERROR_HANDLERS[kind](request, error)
        return answer
    return render(request, "error.html", status, status_code=status, message=message)
