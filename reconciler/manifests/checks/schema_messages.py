"""Messages for the errors of the JSON Schema: what is wrong with a field, and how to fix it.

One file: a function for each keyword of the schema, and the table that names them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.manifests.diagnostics import (
    Finding,
    Path,
    did_you_mean,
    dotted,
    is_secret,
    nearest,
    quoted,
)
from reconciler.manifests.yaml.document_nodes import Document
from reconciler.manifests.yaml.syntax_errors import ODD_SPACE, odd_space
from reconciler.model import scalar_types
from reconciler.model.harmless_text import escape_unprintable

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_INTERVAL = "is no interval from 5s to 24h: write it like 90s, 5m, 1h30m or 1d"
PATTERNS = {
    scalar_types.INTERVAL: ("interval", _INTERVAL),
    scalar_types.TIMEOUT: ("timeout", "is no time from 10s to 10m: write it like 90s, 2m or 1m30s"),
    scalar_types.SIZE: ("size", "is no size: write it like 50MiB, 300kB or 1000B"),
    scalar_types.NAME: (
        "name",
        "is no name: use a-z, 0-9 and `-`, beginning and ending with a letter or digit",
    ),
    scalar_types.ONE_LINE: (
        "control-character",
        "holds a line break or another control character: write it in one line",
    ),
    scalar_types.ADDRESS: ("address", "is no mail address: write it like user@example.org"),
    scalar_types.HOST: (
        "host",
        "is no host: write a domain name or an IP address, without port, user or path",
    ),
    scalar_types.LOCAL_PART: (
        "local-part",
        "is no local part: write what stands before the `@` of an address, without spaces",
    ),
    scalar_types.DOMAIN: ("domain", "is no domain: write it like example.org, without `@`"),
    scalar_types.VARIABLE: (
        "variable",
        "is no name of an environment variable: write it like MAIL_PASSWORD",
    ),
    scalar_types.FINGERPRINT: (
        "fingerprint",
        "is no SHA-256 fingerprint: write 64 hexadecimal digits, with or without colons",
    ),
    scalar_types.HEADER: (
        "header",
        "is no name of a header: write it like X-Envelope-To, without the colon",
    ),
}
"""The rule and the message after the value, by the patterns of `model.scalar_types`."""

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
REFERENCE = "write {file: PATH}, {env: NAME} or {command: [PROGRAM, …]}"


class Violation(Struct, frozen=True):
    """An error of the schema.

    `allowed` is the keyword's value. `inlined` is the whole schema with its references resolved.
    `place` is the path of the keyword in it.
    """

    keyword: str
    allowed: Any
    value: Any
    schema: Mapping[str, Any]
    path: Path
    document: Document
    inlined: Mapping[str, Any]
    place: tuple[str | int, ...]


def findings(
    error: ValidationError, document: Document, inlined: Mapping[str, Any]
) -> Iterator[Finding]:
    """Yield the findings for one error of the schema."""
    path: Path = tuple(error.absolute_path)
    node = document.at(path)
    about_key = (
        error.validator is not None
        and isinstance(error.instance, str)
        and node is not None
        and isinstance(node.value, dict)
    )
    if about_key:
        path = (*path, str(error.instance))
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    violation = Violation(
        str(error.validator),
        error.validator_value,
        error.instance,
        schema,
        path,
        document,
        inlined,
        tuple(error.absolute_schema_path),
    )
    for finding in _WORDS[violation.keyword](violation):
        yield replace(finding, key=True) if about_key else finding


def consequences(found: Sequence[Finding]) -> list[Finding]:
    """Return `found` without missing keys that are only misspelt, so that one mistake has one
    diagnostic."""
    meant = {(finding.path[:-1], finding.meant) for finding in found if finding.meant}
    return [
        finding
        for finding in found
        if not any((finding.path, key) in meant for key in finding.lacks)
    ]


def _shown(value: Any, path: Path) -> str:
    if is_secret(path):
        return "this value"
    if isinstance(value, str):
        return quoted(value)
    return "what stands here" if isinstance(value, (dict, list)) else quoted(json.dumps(value))


def _found(value: Any) -> str:
    names: dict[type, str] = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")


def _name(path: Path) -> str:
    return (
        quoted(dotted(path[-1:]))
        if path and isinstance(path[-1], str)
        else dotted(path) or "a manifest"
    )


def _where(path: Path) -> str:
    return f" in {dotted(path)}" if path else ""


def _type(error: Violation) -> Iterator[Finding]:
    wanted, found = _TYPES[error.allowed], _found(error.value)
    if error.value is None:
        yield Finding(
            error.path,
            "no-value",
            f"{_name(error.path)} has no value: give it {wanted}, or remove the key",
            key=True,
        )
    elif not error.path:
        yield Finding(
            (),
            "type",
            f"a manifest is a mapping of apiVersion, kind, metadata and spec, not {found}",
        )
    elif "enum" not in error.schema:  # otherwise `choice` says it
        rule, how = _rule_and_fix(error)
        yield Finding(
            error.path,
            rule,
            f"{_name(error.path)} wants {wanted}, but {_shown(error.value, error.path)} is "
            f"{found}{how}",
        )


def _rule_and_fix(error: Violation) -> tuple[str, str]:
    """Return the rule for a value of the wrong type, and the end of its message."""
    node = error.document.at(error.path)
    source = node.source if node else None
    pattern = error.schema.get("pattern", "")
    if error.allowed == "string" and source and pattern.startswith(scalar_types.TIMEOUT[:-1]):
        return "timeout", f": give it a unit, such as {source}s or {source}m"
    if error.allowed == "string" and source and pattern.startswith(scalar_types.INTERVAL[:-1]):
        return "interval", f": give it a unit, such as {source}s or {source}m"
    if error.allowed == "string" and source and pattern.startswith(scalar_types.SIZE[:-1]):
        return "size", f": give it a unit, such as {source}B or {source}MiB"
    return "type", _rewritten(error.allowed, error.value, source, hidden=is_secret(error.path))


def _rewritten(wanted: str, value: Any, source: str | None, *, hidden: bool) -> str:
    if wanted == "string" and source is not None:
        return ": put it in quotes" if hidden else f': put it in quotes, "{source}"'
    if wanted == "boolean" and isinstance(value, str) and value.lower() in _YES_NO:
        return f": write {_YES_NO[value.lower()]}"
    if wanted == "integer" and isinstance(value, str) and value.isdecimal():
        return ": remove the quotes"
    if wanted == "array" and not isinstance(value, dict):
        return ": put it in brackets" if hidden else f": write [{escape_unprintable(str(value))}]"
    return f": {REFERENCE}" if wanted == "object" and hidden else ""


def _required(error: Violation) -> Iterator[Finding]:
    if "errorMessage" in error.schema:
        yield from _none_of(error)
        return
    for key in error.allowed:
        if key not in error.value:
            yield Finding(
                error.path,
                "missing-key",
                f"{quoted(key)} is missing{_where(error.path)}: add it",
                key=True,
                lacks=(key,),
            )


def _none_of(error: Violation) -> Iterator[Finding]:
    """Report that none of several alternative keys is present.

    The error comes from the `then` of a condition on their absence.
    """
    keys = list(_at(error.inlined, error.place[:-2])["if"]["properties"])
    offered = ", ".join(quoted(key) for key in keys if key != "value")
    yield Finding(
        error.path,
        "exactly-one",
        f"one of {offered} is missing{_where(error.path)}: add it",
        key=True,
        lacks=tuple(keys),
    )


def _excluded(error: Violation) -> Iterator[Finding]:
    """Report keys that exclude each other: once, at the second one that is present.

    The error comes from a key whose schema is `false` because of another key.
    """
    *way, first, _ = error.place
    exclusive = _at(error.inlined, tuple(way))
    holder = error.document.at(error.path)
    present = [
        key for key in (first, *exclusive[first]["properties"]) if holder and key in holder.value
    ]
    if not any(
        holder and key in holder.value and first in other.get("properties", ())
        for key, other in exclusive.items()
        if isinstance(other, dict)
    ):
        both = " and ".join(quoted(str(key)) for key in present)
        yield Finding(
            (*error.path, present[1]),
            "exactly-one",
            f"{both} exclude each other{_where(error.path)}: keep one",
            key=True,
        )


def _at(schema: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        schema = schema[part]
    return schema


def _together(error: Violation) -> Iterator[Finding]:
    for key, others in error.allowed.items():
        for other in others if isinstance(others, list) else ():
            if key in error.value and other not in error.value:
                yield Finding(
                    (*error.path, key),
                    "missing-key",
                    f"{quoted(key)} needs {quoted(other)} beside it: add it",
                    key=True,
                )


def _unknown_keys(error: Violation) -> Iterator[Finding]:
    known = list(error.schema["properties"])
    for key in error.value:
        if key in known:
            continue
        match, elsewhere = nearest(key, known), _belongs(key, error)
        if (
            key == "from"
            and error.document.root.value.get("kind") == "Template"
            and error.path == ("spec",)
        ):
            match, hint = None, "templates do not nest; write the fields out"
        elif elsewhere and not (match and match.lower() == key.lower()):
            match, hint = None, f"it belongs in {elsewhere}"
        elif odd := ODD_SPACE.match(key):
            hint = f"{odd_space(odd[0])} before it"
        else:
            hint = did_you_mean(key, known)
        yield Finding(
            (*error.path, key),
            "unknown-key",
            f"{quoted(key)} is no field of {dotted(error.path) or 'a manifest'}: {hint}",
            key=True,
            meant=match,
        )


def _belongs(key: str, error: Violation) -> str | None:
    """Return the nearest mapping of a manifest that has such a field, or None."""
    kind = error.document.root.value.get("kind")
    places = [place for place in _places(error.inlined, kind) if place[-1] == key]
    nearest_one = min(places, key=lambda place: _distance(error.path, place), default=None)
    return dotted(nearest_one[:-1]) or "the top level" if nearest_one else None


def _distance(path: Path, place: Path) -> int:
    common = sum(1 for one, other in zip(path, place, strict=False) if one == other)
    return len(place) - 2 * common


def _places(inlined: Mapping[str, Any], kind: object) -> Iterator[Path]:
    """Yield the paths of all fields of a kind of manifest."""
    yield from _fields(
        {key: value for key, value in inlined["properties"].items() if key != "spec"}, ()
    )
    for branch in inlined["allOf"]:
        if "if" in branch and branch["if"]["properties"]["kind"]["const"] == kind:
            yield from _fields(branch["then"]["properties"], ())


def _fields(properties: Mapping[str, Any], above: Path) -> Iterator[Path]:
    for key, value in properties.items():
        yield (*above, key)
        yield from _fields(value.get("else", value).get("properties", {}), (*above, key))


def _choice(error: Violation) -> Iterator[Finding]:
    words = [error.allowed] if error.keyword == "const" else list(error.allowed)
    rule = {"kind": "unknown-kind", "apiVersion": "unknown-version"}.get(
        dotted(error.path), "choice"
    )
    if error.value is not None or "type" not in error.schema:  # otherwise `no-value` says it
        yield Finding(
            error.path,
            rule,
            f"{_name(error.path)} cannot be {_shown(error.value, error.path)}: "
            f"{did_you_mean(error.value, words)}",
        )


def _pattern(error: Violation) -> Iterator[Finding]:
    if error.value == "" and "minLength" in error.schema:
        return
    rule, sentence = PATTERNS[error.allowed.removesuffix(r"\Z") + "$"]
    if rule == "address" and "<" in error.value:
        sentence = "is no bare mail address: write only what stands between `<` and `>`"
    yield Finding(error.path, rule, f"{_shown(error.value, error.path)} {sentence}")


def _range(error: Violation) -> Iterator[Finding]:
    bound = "at least" if error.keyword == "minimum" else "at most"
    yield Finding(
        error.path,
        "out-of-range",
        f"{_name(error.path)} must be {bound} {error.allowed}, not "
        f"{_shown(error.value, error.path)}",
    )


def _empty(error: Violation) -> Iterator[Finding]:
    what = "entry" if error.keyword == "minItems" else "character"
    yield Finding(
        error.path,
        "empty-value",
        f"{_name(error.path)} is empty: give it at least one {what}, or remove it",
    )


def _too_long(error: Violation) -> Iterator[Finding]:
    yield Finding(
        error.path,
        "too-long",
        f"{_name(error.path)} has {len(error.value)} characters: at most "
        f"{error.allowed} are allowed",
    )


_WORDS: dict[str, Callable[[Violation], Iterator[Finding]]] = {
    "type": _type,
    "required": _required,
    "None": _excluded,
    "dependencies": _together,
    "enum": _choice,
    "const": _choice,
    "pattern": _pattern,
    "minimum": _range,
    "maximum": _range,
    "minLength": _empty,
    "minItems": _empty,
    "maxLength": _too_long,
    "additionalProperties": _unknown_keys,
}
