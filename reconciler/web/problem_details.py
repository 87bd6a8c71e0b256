"""Errors of the API: problem details (RFC 9457), and which error of ours is which status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.manifest_drafts import ManifestOutdated
from reconciler.control.manifest_writing import ManifestNotWritten, ReadOnlyManifests
from reconciler.control.service_views import NotFound
from reconciler.log import log
from reconciler.manifests.defect_text import place_of
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile
from reconciler.manifests.editing.manifest_editor import AlreadyDeclared, EditRefused, NotDeclared
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


class MalformedBody(CollectorError):
    """The body of a request is no manifest. `diagnostics` say where, and how to fix it."""

    reason = "BadRequest"

    def __init__(self, message: str, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


_STATUSES: Mapping[type, int] = {
    NotFound: 404,
    NotDeclared: 404,
    ManifestOutdated: 412,
    ChangedMeanwhile: 412,
    AlreadyDeclared: 409,
    EditRefused: 422,
    MalformedBody: 400,
    LedgerUnavailable: 503,
    ManifestNotWritten: 503,
    CollectorError: 409,
}
"""Statuses by the type of an error, or a type that it is derived from."""


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
    return problem(status_of(error), error.reason, str(error), None, **_more(error))


def status_of(error: CollectorError) -> int:
    """Return the status of an answer with this error."""
    return next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)


def _more(error: CollectorError) -> dict[str, Any]:
    """Return the further members of a problem."""
    match error:
        case SessionRefused(next_attempt=at) if at is not None:
            return {"nextAttempt": timestamp(at)}
        case ReadOnlyManifests(draft=draft):
            text = draft.after.text if draft.after else None
            return {"manifest": text, "path": draft.relative, "patch": draft.diff}
        case EditRefused() | MalformedBody():
            return {"diagnostics": [found.as_json() for found in error.diagnostics]}
    return {}


async def answer_nobody(_request: Request, _error: Exception) -> Response:
    """Answer a client that left before its request was whole; nobody reads it."""
    return Response(status_code=400)


async def answer_defect(request: Request, error: Exception) -> Response:
    """Answer for a defect."""
    log_defect("defect in the API", request, error)
    return problem(500, "InternalError", "a defect of mailcollector; its log says more")


def log_defect(what: str, request: Request, error: Exception) -> None:
    """Log where a defect is. Neither the log nor an answer quotes the error: its text may contain
    anything."""
    log.error(what, path=request.url.path, error=type(error).__name__, where=place_of(error))


ERROR_HANDLERS: Mapping[Any, Any] = {
    HTTPException: answer_http_error,
    CollectorError: answer_collector_error,
    ClientDisconnect: answer_nobody,
    Exception: answer_defect,
}
