"""Errors of the API: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


def problem(status: int, reason: str, message: str, **more: str) -> JSONResponse:
    """Return an error response. `reason` is a condition's reason; `more` are further members. The
    `error` member repeats them for clients of earlier versions."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "reason": reason,
        **more,
        "error": {"reason": reason, "message": message, **more},
    }
    return JSONResponse(content, status, media_type=MEDIA_TYPE)
