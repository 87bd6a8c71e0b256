"""Forms that are saved once, however often somebody clicks in a browser without scripts. A repeated
form gets the first one's answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.web.page.page_rendering import HEADERS
from reconciler.web.page.page_routes import form_of

FIELD = "once"
"""The field that tells one loading of a form from another one."""
_KEPT = 1000
"""Forms that are remembered."""


def new_form_id() -> str:
    """Return the value of FIELD for a form that is loaded now."""
    return secrets.token_urlsafe(9)


class FormsSentOnce:
    """The forms that were saved, each with the address that its sender was led to. The same form is
    saved by one request at a time; other forms do not wait for it."""

    def __init__(self) -> None:
        self._led_to: dict[bytes, str] = {}
        self._under_way: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        """A lock for each form that is being saved, kept by its requests alone."""

    async def save_once(
        self, request: Request, save: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Return what `save` answers. If the same form was sent from the same page before, and
        saved, redirect to the same address instead."""
        sent = sorted((name, str(value)) for name, value in form_of(request).multi_items())
        if not form_of(request).get(FIELD):
            return await save(request)
        key = hashlib.sha256(json.dumps(sent).encode()).digest()
        lock = self._under_way.setdefault(key, asyncio.Lock())
        async with lock:
            if key in self._led_to:
                return redirect(request, self._led_to[key])
            answer = await save(request)
            there = answer.headers.get("location") or answer.headers.get("x-location")
            if there:
                self._led_to[key] = there
                while len(self._led_to) > _KEPT:
                    del self._led_to[next(iter(self._led_to))]
            return answer


def redirect(request: Request, path: str) -> Response:
    """Lead the browser to another page: the page's script by a header, others by a redirection."""
    if "x-page-script" in request.headers:
        return Response(status_code=204, headers={**HEADERS, "X-Location": path})
    return RedirectResponse(path, 303, HEADERS)
