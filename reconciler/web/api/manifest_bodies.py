"""Reading requests that change a manifest: the manifest as JSON or YAML, and `If-Match`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from reconciler.control.event_loop import ThreadPool
from reconciler.control.manifest_drafts import EtagCondition
from reconciler.manifests.diagnostics import START, Diagnostic, Path, Position, dotted
from reconciler.manifests.yaml import document_reader, text_encoding
from reconciler.manifests.yaml.document_nodes import Node
from reconciler.manifests.yaml.document_reader import MOST_VALUES
from reconciler.web.api.described_collector import READ_ONLY, YAML_NAMES
from reconciler.web.entity_tags import tags_in
from reconciler.web.problem_details import MalformedBody

LARGEST = 1 << 20
"""The greatest size of a body in bytes: that of a manifest file."""
DEEPEST = 64
MOST_PLACES = 100
"""Diagnostics of a body that is no JSON."""
BODY = "body"
"""What the diagnostics of a body name as its file."""
CONSTANTS = ("NaN", "Infinity", "-Infinity")
_ACCEPTED = "application/json, application/yaml"


class _BadBody(ValueError):
    """The body is no manifest in JSON. The message says why; `rule` is that of a diagnostic."""

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


async def manifest_of(request: Request, threads: ThreadPool) -> str | Mapping[str, Any]:
    """Return the manifest that a request sends: YAML as text, JSON as data, which `threads` read.
    Raises HTTPException 413, 415, MalformedBody, and NoThread."""
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
        before = text_encoding.lines(body[: error.start].decode("utf-8-sig"))
        position = Position(len(before), len(before[-1]) + 1)
        message = f"byte {error.start} of the body is not UTF-8: send it in UTF-8"
        raise _malformed(position, "not-utf8", message) from error
    return text if kind in YAML_NAMES else await threads.run(_json, text)


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
        _require_small(found)
    except json.JSONDecodeError as error:
        position = Position(error.lineno, error.colno)
        empty = "the body is empty: send the manifest"
        message = f"the body is not JSON: {error.msg}" if text.strip() else empty
        raise _malformed(position, "syntax" if text.strip() else "empty-file", message) from error
    except _BadBody as error:
        message = f"the body is not a manifest in JSON: {error}"
        raise MalformedBody(message, _places(text) or [_here(START, error.rule, message)]) from None
    except (RecursionError, ValueError) as error:
        message = "the body has a number that is too long: write it in quotes if it is text"
        rule = "ambiguous-number"
        if isinstance(error, RecursionError):
            message, rule = "the body is nested too deep", "too-deep"
        raise MalformedBody(message, _places(text) or [_here(START, rule, message)]) from None
    if not isinstance(found, dict):
        message = "the body is no object of JSON: send one object with the manifest's fields"
        raise _malformed(START, "type", message)
    return {key: value for key, value in found.items() if key not in READ_ONLY}


def _places(text: str) -> list[Diagnostic]:
    """Return what the reader of YAML, which JSON is, finds in a body first, with the places."""
    documents, unusable = document_reader.read(text.encode())
    found = [
        _here(position, one.rule, one.message, dotted(one.path))
        for document in documents
        for position, one in document.findings
    ]
    lines = text_encoding.lines(text)
    found += [_here(*place) for one in documents for place in _constants(one.root, lines)]
    if unusable:
        found.append(_here(unusable.position, unusable.rule, unusable.message))
    return found[:MOST_PLACES]


def _constants(
    node: Node, lines: list[str], path: Path = ()
) -> Iterator[tuple[Position, str, str, str]]:
    """Yield each number that is none, which JSON does not have (RFC 8259, section 6)."""
    below = node.children.items() if isinstance(node.children, dict) else enumerate(node.children)
    for part, one in below:
        yield from _constants(one, lines, (*path, part))
    if node.value in CONSTANTS:
        line = lines[node.position.line - 1]
        if not line.startswith('"', node.position.column - 1):
            message = f"{node.value} is no number: write one, or leave the field out"
            yield node.position, "ambiguous-number", message, dotted(path)


def _here(position: Position, rule: str, message: str, path: str = "") -> Diagnostic:
    return Diagnostic.error(BODY, position, path, rule, message)


def _malformed(position: Position, rule: str, message: str) -> MalformedBody:
    where = f"line {position.line}, column {position.column}"
    return MalformedBody(f"{message} ({where})", [_here(position, rule, message)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _BadBody("a key stands twice in one object", "duplicate-key")
    return found


def _constant(word: str) -> Any:
    raise _BadBody(f"{word} is no number", "ambiguous-number")


def _require_small(data: Any) -> None:
    """Raise _BadBody for data that is nested deeper, or has more values, than a manifest may."""
    level, count = [data], 1
    for _ in range(DEEPEST + 1):
        level = [one for value in level for one in _below(value)]
        count += len(level)
        if count > MOST_VALUES:
            raise _BadBody(f"it holds more than {MOST_VALUES:,} values", "too-many-values")
        if not level:
            return
    raise _BadBody(f"it is nested deeper than {DEEPEST}", "too-deep")


def _below(value: Any) -> Iterable[Any]:
    """Return the values in a value; keys count as well, as they do in YAML."""
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list) else ()


def condition(request: Request, *, needed: bool) -> EtagCondition:
    """Return what `If-Match` and `If-None-Match` demand of the manifest's ETag (RFC 9110, section
    13.1). Raises HTTPException 428 where `If-Match` is needed and missing."""
    wanted = tags_in(request.headers, "if-match")
    unwanted = tags_in(request.headers, "if-none-match")
    if wanted is None and needed:
        raise HTTPException(
            428, "If-Match is needed: the ETag of the manifest that is to be changed"
        )
    return lambda etag: (
        (wanted is None or wanted.match_strongly(etag))
        and not (unwanted is not None and unwanted.match_weakly(etag))
    )
