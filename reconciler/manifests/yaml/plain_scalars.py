"""Values of plain scalars by the core schema of YAML 1.2.

Forms that YAML readers interpret differently are refused.
"""

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
"""The greatest length of a number in characters. Longer ones are not converted."""

_INEXACT = "a number this long is not exact everywhere: quote it if it is text"

Scalar = str | int | float | bool | None


class AmbiguousNumber(Exception):
    """YAML readers disagree about the value of a number. The message says what to write."""


def resolve(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar. Raises `AmbiguousNumber`."""
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
            "a leading zero means octal to one YAML reader and decimal to the next: "
            f'write {digits} for the number, "{text}" for text'
        )
    if _OTHER_BASE.fullmatch(text):
        raise AmbiguousNumber(
            f"numbers are written in decimal: write {int(text.replace('_', ''), 0)} "
            f'for the number, "{text}" for text'
        )
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousNumber(f'this is not a finite number: quote it, "{text}", if it is text')
    if _TOO_LONG.fullmatch(text):
        raise AmbiguousNumber(_INEXACT)


def _long(text: str) -> str:
    """Return a long text, or raise `AmbiguousNumber` if it is a number.

    It is not converted: Python refuses decimals of more than 4,300 digits, and is slow in other
    bases.
    """
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
