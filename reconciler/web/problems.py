"""Errors of the API: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


def problem(status: int, reason: str, message: str, **more: str) -> JSONResponse:
    """`reason` is a condition's reason; `more` are further members. What they say stands once more
    in `error`, where clients of earlier versions look for it."""
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
