"""Reading requests that change a manifest: the manifest as JSON or YAML, and `If-Match`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from reconciler.web.api.described_collector import READ_ONLY, YAML_NAMES

LARGEST = 1 << 20
"""The greatest size of a body in bytes: that of a manifest file."""
DEEPEST = 64
_ACCEPTED = "application/json, application/yaml"


class _BadBody(ValueError):
    """The body is no manifest in JSON. The message says why."""


async def manifest_of(request: Request) -> str | Mapping[str, Any]:
    """Return the manifest that a request sends: YAML as text, JSON as data. Raises HTTPException
    400, 413, 415."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    kind, charset = kind.strip(), parameters.partition("charset=")[2].strip('" ')
    if kind not in {"application/json", *YAML_NAMES} or charset not in {"", "utf-8", "utf8"}:
        raise HTTPException(
            415, f"send the manifest as one of {_ACCEPTED}, in UTF-8", {"Accept": _ACCEPTED}
        )
    body = await _body(request)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"byte {error.start} of the body is not UTF-8") from error
    return text if kind in YAML_NAMES else _json(text)


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    chunks, size = [], int(declared) if declared.isdecimal() and len(declared) < 20 else 0
    if size <= LARGEST:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST:
                break
            chunks.append(chunk)
    if size > LARGEST:
        raise HTTPException(413, f"a manifest has at most {LARGEST:,} bytes")
    return b"".join(chunks)


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        _require_shallow(found, DEEPEST)
    except RecursionError:
        raise HTTPException(400, "the body is nested too deep") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise HTTPException(400, f"the body is not JSON: {error.msg} ({where})") from error
    except _BadBody as error:
        raise HTTPException(400, f"the body is not a manifest in JSON: {error}") from error
    except ValueError as error:  # an integer of thousands of digits
        raise HTTPException(400, "the body has a number that is too long") from error
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is no object of JSON")
    return {key: value for key, value in found.items() if key not in READ_ONLY}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _BadBody("a key stands twice in one object")
    return found


def _constant(word: str) -> Any:
    raise _BadBody(f"{word} is no number")


def _require_shallow(value: Any, left: int) -> None:
    if left == 0:
        raise _BadBody(f"it is nested deeper than {DEEPEST}")
    for below in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _require_shallow(below, left - 1)


def expected_etags(request: Request, *, needed: bool) -> frozenset[str] | None:
    """Return the ETags of `If-Match` (RFC 9110, section 13.1.1); None: any will do. Those of ours
    have no commas, and may come without their quotation marks; weak ones never match. Raises
    HTTPException 428 where the header is needed and missing."""
    text = ", ".join(request.headers.getlist("if-match")).strip()
    if text == "*":
        return None
    if text:
        return frozenset(one.strip().removeprefix('"').removesuffix('"') for one in text.split(","))
    if needed:
        raise HTTPException(
            428, "If-Match is needed: the ETag of the manifest that is to be changed"
        )
    return None
