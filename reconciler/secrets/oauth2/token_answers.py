"""Answers of an authorization server: a JSON object, or an error (RFC 6749, section 5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore

from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    SourceUnsuitable,
    Throttled,
)
from reconciler.model.harmless_text import one_line
from reconciler.model.secret import Secret
from reconciler.model.secret_parts import foreign_words

LARGEST = 256 << 10
"""Octets that an answer may have."""
_SHOWN = 300
"""Characters of the server's words that are quoted at most."""
CONSENT = frozenset(
    {
        "invalid_grant",
        "interaction_required",
        "consent_required",
        "login_required",
        "account_selection_required",
    }
)
"""Errors that a new consent ends (RFC 6749, section 5.2; OpenID Connect Core 1.0, section
3.1.2.6)."""
_REFUSED = CONSENT | {"invalid_client", "access_denied", "expired_token"}
_LATER = {"temporarily_unavailable", "server_error", "slow_down"}
_MOST_SECONDS = 7 * 86400.0
"""Seconds that a Retry-After counts for at most."""


class ErrorAnswer(CollectorError):
    """The server answered with an error of the protocol."""

    def __init__(
        self, code: str, description: str, status: int = 400, retry_after: float | None = None
    ) -> None:
        """`code` is the error's name, `status` the HTTP status. `retry_after`: seconds after which
        the server may be asked again; None where it does not say."""
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code.lower()
        self.status = status
        self.retry_after = retry_after


def refusal(host_or_url: str, answered: ErrorAnswer, doing: str) -> CollectorError:
    """Return the error of ours for an error of the protocol (RFC 6749, section 5.2). `doing` says
    in its text what was not achieved."""
    host = urlsplit(host_or_url).hostname or host_or_url
    text = f"{host}: {doing}: {answered}"
    if answered.code in _LATER:
        return Throttled(text, retry_after=answered.retry_after)
    if answered.code == "invalid_client":
        text += ": it does not know the application; see clientId and clientSecret in the manifest"
    if answered.code in _REFUSED:
        return AuthenticationFailed(text)
    return SourceUnsuitable(text)


def read_answer(
    response: httpcore.Response, host: str, secrets: Sequence[Secret]
) -> dict[str, Any]:
    """Read the body of a response, and return the JSON object in it.

    Raises ErrorAnswer for an error of the protocol, whose text has none of `secrets` in it. Raises
    ConnectionFailed, Throttled, ProtocolViolation and SourceUnsuitable for other answers.
    """
    body = _body(response)
    status = response.status
    wait = _retry_after(response.headers)
    if 300 <= status < 400:
        raise SourceUnsuitable(
            f"{host}: HTTP status {status}: the server redirects elsewhere, and secrets are not "
            "sent on; state the address that it leads to"
        )
    if status == 429:
        raise Throttled(f"{host}: too many requests for tokens", retry_after=wait)
    if status >= 500 or status in {408, 425}:
        if wait is not None:
            raise Throttled(
                f"{host}: no token: HTTP status {status}, and the request to come back later",
                retry_after=wait,
            )
        raise ConnectionFailed(f"{host}: no token: HTTP status {status}")
    answer = _object(body)
    if answer is None:
        if status in {401, 403}:
            raise ErrorAnswer(f"HTTP status {status}", "", status)
        raise ProtocolViolation(
            f"{host}: HTTP status {status}, and no JSON object, in answer to a "
            "request for a token; is the URL right?"
        )
    if answer.get("error") or not 200 <= status < 300:
        raise ErrorAnswer(
            harmless_words(answer.get("error") or f"HTTP status {status}", secrets),
            harmless_words(answer.get("error_description") or "", secrets),
            status,
            wait,
        )
    return answer


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Return the seconds of a Retry-After in either form (RFC 9110, section 10.2.3); None without
    one."""
    text = next(
        (
            value.decode("latin-1").strip()
            for name, value in headers
            if name.lower() == b"retry-after"
        ),
        "",
    )
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), _MOST_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _MOST_SECONDS)


def _body(response: httpcore.Response) -> bytes:
    """Return the body as it came over the wire. A compressed one is refused: it was not asked for,
    and could unpack to any size."""
    encodings = {
        value.strip().lower()
        for name, value in response.headers
        if name.lower() == b"content-encoding"
    }
    if encodings - {b"identity", b""}:
        raise httpcore.RemoteProtocolError(
            "its answer is compressed, though that was not asked for"
        )
    parts: list[bytes] = []
    length = 0
    try:
        for chunk in response.iter_stream():
            parts.append(chunk)
            length += len(chunk)
            if length > LARGEST:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        # A whole object may hold the only refresh token that still works.
        if _object(b"".join(parts)) is None:
            raise
    if length > LARGEST:
        raise httpcore.ReadError("its answer is too long")
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`; None where it is anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def harmless_words(text: object, secrets: Sequence[Secret]) -> str:
    """Return the server's words on one line, without parts of secrets and control characters, and
    cut to `_SHOWN` characters (hazards S1, M14)."""
    return one_line(foreign_words(str(text), secrets, _SHOWN))
