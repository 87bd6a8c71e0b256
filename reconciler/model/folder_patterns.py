"""Patterns for folder names: `*` stands for anything, `%` for anything but `/` (RFC 3501, section
6.3.8).

Servers and whoever writes manifests choose both sides, so matching must not go back and try again,
as a regular expression would: each part of a pattern is looked at once, for all the places at which
it may begin.
"""

from __future__ import annotations

import re

_PART = re.compile(r"[*%]+|[^*%]+")


def is_pattern(name: str) -> bool:
    return "*" in name or "%" in name


class Pattern:
    """One pattern, taken apart. A match costs at most the product of both lengths, in steps of a
    machine's words."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        self._parts = [
            _wildcard(part) if is_pattern(part) else part for part in _PART.findall(text)
        ]

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` is such a name."""
        places = _Positions(name)
        reached = 1  # bit n: what stands before in the pattern can end before the name's letter n
        for part in self._parts:
            reached = places.after(part, reached)
            if not reached:
                return False
        return bool(reached >> len(name))


class _Positions:
    """Sets of places in one name, each a bit of an integer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._everywhere = (1 << len(name) + 1) - 1
        self._found: dict[str, int] = {}

    def after(self, part: str, reached: int) -> int:
        """Where `part` can end that begins at one of the places in `reached`."""
        if part == "*":
            return self._everywhere & -(reached & -reached)
        if part == "%":
            inside = self._everywhere >> 1 & ~self._of("/")
            return (
                reached | (inside + (reached & inside)) ^ inside
            )  # the carry runs to the next `/`
        return (reached & self._of(part)) << len(part)

    def _of(self, text: str) -> int:
        """Where `text` begins."""
        if text not in self._found:
            marks, place = bytearray(b"0" * (len(self._name) + 1)), self._name.find(text)
            while place >= 0:
                marks[-1 - place] = ord("1")
                place = self._name.find(text, place + 1)
            self._found[text] = int(marks, 2)
        return self._found[text]


def _wildcard(run: str) -> str:
    """Of several in a row: what all of them together stand for."""
    return "*" if "*" in run else "%"
