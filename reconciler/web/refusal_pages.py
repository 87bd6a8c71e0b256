"""Refusals as pages. What stands before the routes refuses with a problem; a browser that asked for
a page is shown a page with the same status and headers."""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.web.access.access_guard import is_api, wants_page
from reconciler.web.access.answer_headers import without_security_headers
from reconciler.web.problem_details import MEDIA_TYPE


class RefusalPages:
    """An ASGI application that passes everything on to `app`. Where that answers a browser with a
    problem, `page` shows it: see `page_routes`."""

    def __init__(self, app: ASGIApp, page: ASGIApp) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_api(scope["path"]) or not wants_page(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def sent(message: Message) -> None:
            nonlocal start
            if start is not None:
                body.extend(message.get("body", b""))
            elif message["type"] == "http.response.start" and _is_problem(message):
                start = message
            else:
                await send(message)

        await self._app(scope, receive, sent)
        if start is not None:
            found = json.loads(body)
            headers = without_security_headers(Headers(scope=start))
            shown = {**scope, "refusal": (start["status"], found["detail"], headers)}
            await self._page(shown, receive, send)


def _is_problem(start: Message) -> bool:
    return Headers(scope=start).get("content-type") == MEDIA_TYPE
