"""The unified diff of a file, as git and patch take it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

_CONTEXT = 3


def unified_diff(before: str | None, after: str | None, name: str) -> str:
    """Return the difference between two contents of the file `name`; None: no file.

    Common lines at the beginning and at the end are not compared, because the file may be long.
    """
    old, new = _lines(before), _lines(after)
    start = _common(old, new)
    shortest = min(len(old), len(new)) - start
    end = min(_common(old[::-1], new[::-1]), shortest)
    start, end = max(start - _CONTEXT, 0), max(end - _CONTEXT, 0)
    hunks = list(_hunks(old[start : len(old) - end], new[start : len(new) - end], start))
    if not hunks and before is not None and after is not None:
        return ""
    head = [
        f"--- {'/dev/null' if before is None else f'a/{name}'}\n",
        f"+++ {'/dev/null' if after is None else f'b/{name}'}\n",
    ]
    return "".join([*head, *hunks])


def _lines(text: str | None) -> list[str]:
    """Return the lines with their ends. Only a line feed ends one."""
    return [] if not text else [f"{line}\n" for line in text.split("\n")[:-1]] + _rest(text)


def _rest(text: str) -> list[str]:
    last = text.rpartition("\n")[2]
    return [last] if last else []


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many lines both begin with."""
    pairs = zip(old, new, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))


def _hunks(old: Sequence[str], new: Sequence[str], skipped: int) -> Iterator[str]:
    """Yield the hunks, where `skipped` lines stand before the first one of both."""
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield (
            f"@@ -{_range(first[1] + skipped, last[2] + skipped)} "
            f"+{_range(first[3] + skipped, last[4] + skipped)} @@\n"
        )
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                yield from _marked(" ", old[old_from:old_to])
                continue
            yield from _marked("-", old[old_from:old_to])
            yield from _marked("+", new[new_from:new_to])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield (
            f"{mark}{line}"
            if line.endswith("\n")
            else f"{mark}{line}\n\\ No newline at end of file\n"
        )
