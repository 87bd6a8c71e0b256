"""The bodies of requests, bounded before anything reads them."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message


def bounded(request: Request, most: int, *, fields: int | None = None) -> Request:
    """Return the request with a body of at most `most` bytes, and a form of at most `fields`
    fields, empty ones too: the parser of forms takes long for these. Reading more raises
    HTTPException 413."""
    size = separators = 0

    async def receive() -> Message:
        nonlocal size, separators
        message = await request.receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        separators += 0 if fields is None else chunk.count(b"&")
        if size > most:
            raise HTTPException(413, f"the body has more than {most:,} bytes")
        if fields is not None and separators >= fields:
            raise HTTPException(413, f"the form has more than {fields:,} fields")
        return message

    return Request(request.scope, receive)
