"""Diagnostics: what is wrong with a manifest, where, and how to fix it."""

from __future__ import annotations

import bisect
import difflib
import functools
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from reconciler.model.harmless_text import escape_unprintable

Path = tuple[str | int, ...]
"""Keys and indices from a document's root to one of its values."""

_BARE = re.compile(r"[\w-]+")
_SECRET_KEY = re.compile("pass|secret|token", re.IGNORECASE)
_LONGEST = 60
_LISTED = 60
"""Names that a message lists."""
_MANY, _NEAR = 200, 10


class Severity(StrEnum):
    """Only errors make `validate` fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Position(NamedTuple):
    """A place in a file. `line` and `column` count from 1; `column` counts characters, not bytes.

    `file` is set only for places in another file than the document's own.
    """

    line: int
    column: int
    file: str | None = None


START = Position(1, 1)


class Diagnostic(Struct, frozen=True):
    """A message about one place in a manifest file.

    `rule` is an id of `manifests.checks.rule_catalogue`. `path` is empty for errors of YAML itself.
    """

    file: str
    line: int
    column: int
    path: str
    rule: str
    severity: Severity
    message: str

    @classmethod
    def error(cls, file: str, position: Position, path: str, rule: str, message: str) -> Diagnostic:
        """Return an error at a position."""
        return cls(file, position.line, position.column, path, rule, Severity.ERROR, message)

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Finding(Struct, frozen=True):
    """A diagnostic without its file and position.

    `key` is true for findings about the key at `path` and false for those about its value. `lacks`
    lists keys of which one is missing at `path`. `meant` is the known key that an unknown one
    probably stands for.
    """

    path: Path
    rule: str
    message: str
    severity: Severity = Severity.ERROR
    key: bool = False
    lacks: tuple[str, ...] = ()
    meant: str | None = None


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics sorted by file, line, column, path and rule."""
    return sorted(
        diagnostics,
        key=lambda found: (found.file, found.line, found.column, found.path, found.rule),
    )


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as text, such as `spec.source.folders[1]`. Keys with special characters are
    quoted: `metadata.labels["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{escape_unprintable(part)}"]'
    return text


def quoted(value: str) -> str:
    """Return `value` in backquotes for a message, without control characters and cut if long."""
    return f"`{escape_unprintable(value if len(value) <= _LONGEST else value[:_LONGEST] + '…')}`"


def is_secret(path: Path) -> bool:
    """Return whether the value at `path` may be a secret, which no message may quote."""
    return any(isinstance(part, str) and _SECRET_KEY.search(part) for part in path)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, or None. Case, `-` and `_` do not count.

    Of many candidates only the alphabetical neighbours are compared. Comparing each of many words
    with each of many candidates would take too long.
    """
    meant, (words, folded) = _folded(word)[:_LONGEST], _index(tuple(candidates))
    if len(words) > _MANY:
        at = bisect.bisect(words, meant)
        words = words[max(0, at - _NEAR) : at + _NEAR]
    matches = difflib.get_close_matches(meant, words, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


@functools.lru_cache(maxsize=8)
def _index(candidates: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Return the candidates without case, `-` and `_`, sorted if there are many, and a mapping from
    them to the originals."""
    folded = {_folded(candidate): candidate for candidate in candidates}
    return (sorted(folded) if len(folded) > _MANY else list(folded)), folded


def _folded(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def did_you_mean(word: object, candidates: Sequence[str]) -> str:
    """Return the end of a message about a value that is none of `candidates`."""
    match = nearest(word, candidates) if isinstance(word, str) else None
    if match:
        return f"did you mean {quoted(match)}?"
    if len(candidates) == 1:
        return f"use {candidates[0]}"
    more = f" and {len(candidates) - _LISTED} more" if len(candidates) > _LISTED else ""
    return f"use one of {', '.join(candidates[:_LISTED])}{more}"
