"""The security headers of every answer on TCP."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""The headers of an answer whose handler set none. A page has a policy of its own that allows
its scripts and styles."""


_OWN = frozenset({*(name.lower() for name in _HEADERS), "content-type", "content-length"})


def without_security_headers(headers: Headers) -> dict[str, str]:
    """Return the headers of an answer that hold for another body too."""
    return {name: value for name, value in headers.items() if name not in _OWN}


def with_security_headers(send: Send) -> Send:
    """Return a `send` that adds the headers that an answer lacks."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
