"""What a plain scalar means: the core schema of YAML 1.2, less whatever readers of YAML disagree
about."""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_OTHER_BASE = re.compile(r"[-+]?0(?:o[0-7]+|x[0-9a-fA-F]+|b[01][01_]*)")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TOO_LONG = re.compile(r"[-+]?[1-9][0-9]{18,}")
_LONGEST = 40
"""Characters of a number: longer ones are not worked out, and not shown whole."""

_INEXACT = "a number this long is not exact everywhere: quote it if it is text"

Scalar = str | int | float | bool | None


class AmbiguousNumber(Exception):
    """The text is a number to one reader and another number, or none, to the next. The message says
    what to write."""


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar. Raises `AmbiguousNumber`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) > _LONGEST:
        return _long(text)
    _refuse_ambiguous(text)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    return text


def _refuse_ambiguous(text: str) -> None:
    if _LEADING_ZERO.fullmatch(text):
        digits = text.lstrip("+-0").replace("_", "") or "0"
        raise AmbiguousNumber(
            f"a leading zero means octal to one YAML reader and decimal to the next: write "
            f"{digits} "
            f'for the number, "{text}" for text'
        )
    if _OTHER_BASE.fullmatch(text):
        raise AmbiguousNumber(
            f"numbers are written in decimal: write {int(text.replace('_', ''), 0)} for the "
            "number, "
            f'"{text}" for text'
        )
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousNumber(f'this is not a finite number: quote it, "{text}", if it is text')
    if _TOO_LONG.fullmatch(text):
        raise AmbiguousNumber(_INEXACT)


def _long(text: str) -> str:
    """Whatever its digits and its base. Python works out no decimal of more than 4,300, and others
    at a price."""
    if any(form.fullmatch(text) for form in (_TOO_LONG, _LEADING_ZERO, _OTHER_BASE, _FLOAT)):
        raise AmbiguousNumber(_INEXACT)
    return text


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise AmbiguousNumber(
            f'this is more than a number can hold: quote it, "{text}", if it is text'
        )
    return value
