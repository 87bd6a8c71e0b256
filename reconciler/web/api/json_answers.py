"""Answers of the API: models as JSON, and streams of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from starlette.responses import Response, StreamingResponse

from reconciler.model.status import Shown


def json_answer(found: Shown | Iterable[Shown], status: int = 200) -> Response:
    """Return one model, or a list of them."""
    if isinstance(found, Shown):
        text = found.model_dump_json(by_alias=True)
    else:
        text = f"[{','.join(one.model_dump_json(by_alias=True) for one in found)}]"
    return Response(text, status, media_type="application/json")


def event_answer(events: AsyncIterator[str]) -> Response:
    """Return a stream of server-sent events."""
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def event(name: str, data: str, identity: str = "") -> str:
    """Return one server-sent event (WHATWG HTML, section 9.2). `data` is one line."""
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {name}\ndata: {data}\n\n"
