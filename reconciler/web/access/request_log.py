"""The log of who changed what: one line for each request that may change something."""

from __future__ import annotations

from starlette.types import Message, Scope, Send

from reconciler.log import log

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHANGES_NOTHING = frozenset({"/form/preview"})
"""Paths to which the page sends requests while somebody types."""


def with_request_log(scope: Scope, send: Send) -> Send:
    """Return a `send` that logs who asked, with the status of the answer.

    A request without a principal is not logged: it changes nothing, and anybody could fill the log.
    Queries, headers and bodies are not logged, because they may hold secrets.
    """
    if scope["method"] in _READING or scope["path"] in _CHANGES_NOTHING:
        return send

    async def sent(message: Message) -> None:
        who = scope.get("principal")
        if message["type"] == "http.response.start" and who is not None:
            log.info(
                "requested",
                by=who.name,
                how=who.how,
                address=scope.get("address") or None,
                method=scope["method"],
                path=_shown(scope["path"]),
                status=message["status"],
            )
        await send(message)

    return sent


def _shown(path: str) -> str:
    """Return the path without the secret part of a one-time link."""
    for secret in ("/login/", "/consent/owner/"):
        if path.startswith(secret):
            return f"{secret}…"
    return path[:1000]
