"""Reads what somebody typed into a field of the form as the value that the manifest holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.manifests.yaml import document_reader
from reconciler.web.page.schema_fields import SchemaField

WHOLE_NUMBER = "A whole number belongs here."
PAIRS = "Each line is a name, a colon, and a value."
TWICE = "A name stands here twice: keep one of the two lines."
NOT_YAML = "This is not YAML."

_DIGITS = 18


class UnreadableValue(Exception):
    """The text is no value of this field. The message is one of this module's."""


def typed_value(text: str, field: SchemaField) -> Any:
    """Return the value of a field; None for an empty text. Raises UnreadableValue."""
    if not text:
        return None
    return _READERS.get(field.shape, str)(text)


def _flag(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in map(_pair, filter(str.strip, text.splitlines())):
        if name in found:
            raise UnreadableValue(TWICE)
        found[name] = value
    return found


def _number(text: str) -> int:
    digits = "".join(text.split())
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > _DIGITS:
        raise UnreadableValue(WHOLE_NUMBER)
    return int(digits)


def _pair(line: str) -> tuple[str, str]:
    name, separator, value = line.partition(":")
    if not separator:
        name, separator, value = line.partition("=")
    if not separator or not name.strip() or not value.strip():
        raise UnreadableValue(PAIRS)
    return name.strip(), value.strip()


def _yaml(text: str) -> Any:
    found, unusable = document_reader.read(text.encode())
    if unusable or len(found) != 1 or found[0].findings:
        raise UnreadableValue(NOT_YAML)
    return found[0].root.value


_READERS: Mapping[str, Callable[[str], Any]] = {
    "number": _number,
    "flag": _flag,
    "lines": _lines,
    "pairs": _pairs,
    "yaml": _yaml,
}
