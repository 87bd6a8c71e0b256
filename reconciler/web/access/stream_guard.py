"""Ends the streams of somebody who is not admitted any more: the token was revoked, or the session
is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.log import log

_LOOKS = 1.0
"""Seconds between two looks."""
_STREAM = "text/event-stream"


async def serve_admitted(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, holds: Callable[[], bool]
) -> None:
    """Serve a request. Where it is answered by a stream, that ends when `holds` does not."""
    streams = False

    async def sent(message: Message) -> None:
        nonlocal streams
        if message["type"] == "http.response.start":
            streams = Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM)
        await send(message)

    task = asyncio.ensure_future(app(scope, receive, sent))
    try:
        while not (await asyncio.wait({task}, timeout=_LOOKS))[0]:
            if streams and not holds():
                log.info("stream ended: not admitted any more", path=scope["path"])
                task.cancel()
                await asyncio.wait({task})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    task.result()
