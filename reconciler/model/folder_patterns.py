"""Patterns for folder names: `*` matches anything, `%` anything but `/` (RFC 3501, section 6.3.8).

Patterns and names come from authors of manifests and from servers, so that matching must be fast in
every case. Unlike a regular expression it does not backtrack: each part of a pattern is matched
once, at all its possible positions together.
"""

from __future__ import annotations

import re

_PART = re.compile(r"[*%]+|[^*%]+")


def is_pattern(name: str) -> bool:
    """Return whether a folder's name in a manifest is a pattern."""
    return "*" in name or "%" in name


class Pattern:
    """A pattern. The time of a match is at most the product of both lengths, divided by the size of
    a machine word."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        self._parts = [
            _wildcard(part) if is_pattern(part) else part for part in _PART.findall(text)
        ]

    def matches(self, name: str) -> bool:
        """Return whether the pattern matches the whole of `name`."""
        places = _Positions(name)
        reached = 1  # bit n: the parts so far can match the first n characters of the name
        for part in self._parts:
            reached = places.after(part, reached)
            if not reached:
                return False
        return bool(reached >> len(name))


class _Positions:
    """Sets of positions in a name, as the bits of integers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._everywhere = (1 << len(name) + 1) - 1
        self._found: dict[str, int] = {}

    def after(self, part: str, reached: int) -> int:
        """Return the positions where `part` can end if it begins at one in `reached`."""
        if part == "*":
            return self._everywhere & -(reached & -reached)
        if part == "%":
            inside = self._everywhere >> 1 & ~self._of("/")
            # The carry of the addition runs to the next `/`.
            return reached | (inside + (reached & inside)) ^ inside
        return (reached & self._of(part)) << len(part)

    def _of(self, text: str) -> int:
        """Return the positions where `text` begins."""
        if text not in self._found:
            marks, place = bytearray(b"0" * (len(self._name) + 1)), self._name.find(text)
            while place >= 0:
                marks[-1 - place] = ord("1")
                place = self._name.find(text, place + 1)
            self._found[text] = int(marks, 2)
        return self._found[text]


def _wildcard(run: str) -> str:
    """Return the single wildcard that is equal to a run of several."""
    return "*" if "*" in run else "%"
