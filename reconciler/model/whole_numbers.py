"""Whole numbers that people, files and other programs write.

`int` fails on a text of thousands of digits, and some characters count as digits that are none to
it (`²`).
"""

from __future__ import annotations

_LONGEST = 18
"""Digits of the longest number: it fits into 64 bits."""


def whole_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits stands for; None for any other text, and for
    one that is too long for any of our fields."""
    if len(text) > _LONGEST or not (text.isascii() and text.isdigit()):
        return None
    return int(text)
