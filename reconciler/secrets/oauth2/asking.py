"""One request to an authorization server: a form there, a JSON object back (RFC 6749, sections 4 and 5)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from reconciler.manifests.domains import is_loopback
from reconciler.model.errors import (
    AuthenticationFailed,
    CollectorError,
    ConnectionFailed,
    ProtocolViolation,
    SourceUnsuitable,
    Throttled,
)
from reconciler.model.secret import Secret, redact
from reconciler.wire import tls

_PATIENCE = 30.0
"""Seconds for connecting, and for each wait after that."""
_DEADLINE = 90.0
_LARGEST = 1 << 20
_SHOWN = 300
_REFUSED = {"invalid_grant", "invalid_client", "access_denied", "expired_token"}
_LATER = {"temporarily_unavailable", "server_error", "slow_down"}


class Answered(CollectorError):
    """The server answered with an error of the protocol; `code` is its name."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code


def ask(url: str, form: Mapping[str, str], secrets: Sequence[Secret]) -> dict[str, Any]:
    """The answer. Raises Answered, ConnectionFailed, Throttled, ProtocolViolation, SourceUnsuitable, TlsRefused.

    Certificates are verified as those of mail servers are; redirects are not followed, for what is sent is secret.
    """
    where = urlsplit(url)
    host = where.hostname or ""
    if where.scheme != "https" and not is_loopback(host):
        raise SourceUnsuitable(f"{_shown(url, secrets)} is no https address: secrets are sent there")
    context = tls.client_context(None, None)
    try:
        with (httpx.Client(timeout=_PATIENCE, verify=context) as client,
              client.stream("POST", url, data=dict(form), headers={"Accept": "application/json"}) as response):
            body = _body(response, time.monotonic() + _DEADLINE)
            return _answer(response, body, host, secrets)
    except httpx.InvalidURL as error:
        raise SourceUnsuitable(f"{_shown(url, secrets)} is no URL: {error}") from None
    except httpx.HTTPError as error:
        text = _shown(str(error), secrets) or type(error).__name__
        raise ConnectionFailed(f"{host}: no answer to a request for a token: {text}") from None


def refusal(host_or_url: str, answered: Answered, doing: str) -> CollectorError:
    """What an error of the protocol means for a session (RFC 6749, section 5.2)."""
    host = urlsplit(host_or_url).hostname or host_or_url
    text = f"{host}: {doing}: {answered}"
    if answered.code in _LATER:
        return Throttled(text)
    if answered.code in _REFUSED:
        return AuthenticationFailed(text)
    return SourceUnsuitable(text)


def _body(response: httpx.Response, deadline: float) -> bytes:
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST or time.monotonic() > deadline:
            raise httpx.ReadError("its answer is too long, or takes too long")
    return body


def _answer(response: httpx.Response, body: bytes, host: str, secrets: Sequence[Secret]) -> dict[str, Any]:
    if response.status_code == 429:
        seconds = response.headers.get("Retry-After", "")
        raise Throttled(f"{host}: too many requests for tokens",
                        retry_after=float(seconds) if seconds.isdecimal() and len(seconds) < 7 else None)
    if response.status_code >= 500:
        raise ConnectionFailed(f"{host}: no token: HTTP status {response.status_code}")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ProtocolViolation(f"{host}: HTTP status {response.status_code}, and no JSON object, in answer to a "
                                "request for a token; is the URL right?")
    if "error" in answer or response.status_code != 200:
        raise Answered(_shown(answer.get("error") or f"HTTP status {response.status_code}", secrets),
                       _shown(answer.get("error_description") or "", secrets))
    return answer


def _shown(text: object, secrets: Sequence[Secret]) -> str:
    """The server's words on one line: secrets, control characters and excess removed (hazards S1, M14)."""
    line = redact(str(text), secrets)[:_SHOWN]
    return "".join(letter if letter.isprintable() else " " for letter in line).strip()
