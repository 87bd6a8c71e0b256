"""Errors of the API: problem details (RFC 9457), and which error of ours is which status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconciler.control.control_service import NotFound
from reconciler.control.loop import SessionRefused
from reconciler.log import log
from reconciler.model.errors import CollectorError, LedgerUnavailable
from reconciler.model.timestamps import timestamp

MEDIA_TYPE = "application/problem+json"
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    412: "PreconditionFailed",
    413: "ContentTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    428: "PreconditionRequired",
    429: "TooManyRequests",
}


def problem(
    status: int,
    reason: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
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
    return JSONResponse(content, status, headers, MEDIA_TYPE)


async def answer_http_error(_request: Request, error: Exception) -> Response:
    """Answer for an error that a handler, or the routing, raised as an HTTP status."""
    assert isinstance(error, HTTPException)  # noqa: S101  # what the handler is registered for
    reason = _REASONS.get(error.status_code, "Refused")
    return problem(error.status_code, reason, error.detail, error.headers)


async def answer_collector_error(_request: Request, error: Exception) -> Response:
    """Answer for an expected error."""
    assert isinstance(error, CollectorError)  # noqa: S101  # what the handler is registered for
    match error:
        case NotFound():
            return problem(404, error.reason, str(error))
        case SessionRefused(next_attempt=at) if at is not None:
            return problem(409, error.reason, str(error), nextAttempt=timestamp(at))
        case LedgerUnavailable():
            return problem(503, error.reason, str(error))
        case _:
            return problem(409, error.reason, str(error))


async def answer_defect(request: Request, error: Exception) -> Response:
    """Answer for a defect. Neither the answer nor the log quotes the error: its text may contain
    anything."""
    log.error("defect in the API", path=request.url.path, error=type(error).__name__)
    return problem(500, "InternalError", "a defect of mailcollector; its log says more")


ERROR_HANDLERS: Mapping[Any, Any] = {
    HTTPException: answer_http_error,
    CollectorError: answer_collector_error,
    Exception: answer_defect,
}
