"""What answers of an authorization server mean, and which URLs secrets are sent to, as a table.

`python -m tests.secrets.answer_table` writes `answer_table.txt` anew: read the difference, each
line of it is a change of behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpcore

from reconciler.model.errors import CollectorError
from reconciler.model.secret import Secret
from reconciler.secrets.oauth2 import token_answers
from reconciler.secrets.oauth2.token_answers import ErrorAnswer, read_answer, refusal
from reconciler.secrets.oauth2.token_urls import authority, require_private

TABLE = Path(__file__).with_suffix(".txt")
HOST = "id.example.org"
_STATUSES = (199, 200, 204, 299, 300, 302, 399, 400, 401, 403, 404, 408, 425, 429, 499, 500, 503)
_BODIES = {
    "a token": b'{"access_token": "t"}',
    "an error": b'{"error": "Invalid_Grant", "error_description": "hunter2\\u0007 expired"}',
    "an error without words": b'{"error": "slow_down"}',
    "a list": b"[1]",
    "no JSON": b"<html>",
    "nothing": b"",
}
_WAITS = (
    "0",
    " 7 ",
    "604799",
    "604801",
    "1" * 30,
    "-1",
    "1.5",
    "soon",
    "\u0663",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Thu, 01 Jan 1970 00:00:00",
    "Fri, 01 Jan 2100 00:00:00 GMT",
)
_ENCODINGS = ("", "identity", " Identity ", "gzip", "identity, gzip")
_CODES = (
    "invalid_grant",
    "interaction_required",
    "invalid_client",
    "access_denied",
    "expired_token",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
    "invalid_scope",
    "HTTP status 401",
)
_URLS = (
    "https://id.example.org/token",
    "https://id.example.org:8443/token",
    "https://id.example.org:0/token",
    "https://id.example.org:99999/token",
    "https://user@id.example.org/token",
    "https://@id.example.org/token",
    "http://id.example.org/token",
    "ftp://id.example.org/token",
    "ftp://localhost/token",
    "http://localhost:8080/token",
    "http://127.0.0.1/token",
    "https://127.0.0.1/token",
    "http://[::1]:8080/token",
    "https://[2001:db8::1]/token",
    "https://[::1/token",
    "https://пример.рф/token",
    "https://" + "x" * 70 + ".example/token",
    "https:///token",
    "id.example.org/token",
    "",
    "http://" + "y" * 400,
)


def lines() -> Iterator[str]:
    for status, (name, body) in product(_STATUSES, _BODIES.items()):
        yield f"{status}, {name}: {_read(httpcore.Response(status, content=body))}"
    for status, wait in product((429, 503, 400), _WAITS):
        headers = [("retry-AFTER", wait.encode())]
        body = _BODIES["an error without words"]
        response = httpcore.Response(status, headers=headers, content=body)
        yield f"{status}, Retry-After {wait}: {_read(response)}"
    for encoding in _ENCODINGS:
        headers = [("Content-ENCODING", encoding.encode())]
        yield f"encoded as {encoding!r}: " + _read(
            httpcore.Response(200, headers=headers, content=_BODIES["a token"])
        )
    largest = token_answers.LARGEST
    for more in (0, 1):
        body = b'{"a": "' + b"x" * (largest + more - 9) + b'"}'
        response = httpcore.Response(200, content=body)
        yield f"{largest} octets and {more} more: {_read(response)[:60]}"
    for code in _CODES:
        answered = ErrorAnswer(code, "why", retry_after=5.0)
        for host in (HOST, f"https://{HOST}/token"):
            yield f"{host}: {code}: {_shown(refusal(host, answered, 'no token'))}"
    for url, local in product(_URLS, (False, True)):
        yield f"{url[:90]}{', local' * local}: {_url(url, local=local)[:400]}"


def _read(response: httpcore.Response) -> str:
    try:
        return str(read_answer(response, HOST, [Secret("hunter2")]))
    except (CollectorError, httpcore.NetworkError, httpcore.ProtocolError) as error:
        return _shown(error)


def _shown(error: Exception) -> str:
    more = {
        name: value
        for name in ("code", "status", "retry_after")
        if (value := getattr(error, name, None)) is not None
    }
    return f"{type(error).__name__} {error}{f' {more}' if more else ''}"


def _url(url: str, *, local: bool) -> str:
    try:
        return authority(require_private(url, local=local))
    except CollectorError as error:
        told, mark, _ = _shown(error).partition(": ")  # what follows are Python's own words
        return told + mark.rstrip() if " is no " in told else _shown(error)


if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in lines()))
