"""Bodies that are too large, or never whole: refused before they are read, and no defect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message

from reconciler.web.page.page_routes import PageRoute, form_of, page_application
from tests.captured_logs import capture_logs


async def _count(request: Request) -> Response:
    return Response(str(len(form_of(request).multi_items())))


FORM = page_application([PageRoute("POST", "/form", _count, None)])


def answer(app: ASGIApp, *messages: dict[str, Any]) -> list[Message]:
    """What the application answers to a form that comes in these pieces."""
    left, sent = [{"type": "http.request", **one} for one in messages], []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/form",
        "query_string": b"",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
        "principal": None,
    }

    async def receive() -> Message:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    return sent


@pytest.mark.parametrize(
    ("piece", "status"),
    [(b"a=1&b=2", 200), (b"&" * 12_000, 413), (b"a" * 40_000, 413)],
)
def test_a_form_is_bounded(piece: bytes, status: int) -> None:
    found = answer(FORM, {"body": piece, "more_body": True}, {"body": piece})
    assert found[0]["status"] == status
    if status == 200:
        assert found[1]["body"] == b"3"  # the pieces are one body


def test_a_client_that_leaves_is_no_defect() -> None:
    with capture_logs() as logged:
        answer(FORM, {"body": b"a=1", "more_body": True})
    assert logged == []
