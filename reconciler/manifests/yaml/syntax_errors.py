"""Plain messages for the errors of the YAML parser."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import Event, ScalarEvent

from reconciler.manifests.diagnostics import START, Position
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.manifests.yaml.text_encoding import lines

_TAB = "a tab: YAML is indented with spaces"
_SENTENCES = {
    "found character that cannot start any token": "a value cannot begin with this character: put "
    "the value in quotes",
    "mapping values are not allowed in this context": (
        "a `:` where no key can stand: check the indentation, or put the text in quotes"
    ),
    "could not find expected ':'": "this line is neither `key: value` nor a list's `- value`: is a "
    "`:` missing?",
    "did not find expected key": "this does not line up with the keys above it: check the "
    "indentation",
    "did not find expected '-' indicator": "this does not line up with the list above it: check "
    "the indentation",
    "did not find expected ',' or ']'": "a `,` or `]` is missing here",
    "did not find expected ',' or '}'": "a `,` or `}` is missing here",
    "did not find expected node content": "a value is missing here",
    "found unexpected end of stream": "the quote that opens here is never closed",
    "did not find expected <document start>": "a document begins here without `---`: check the "
    "indentation",
    "found unknown escape character": 'this is no escape: in "double quotes" write \\\\ for a '
    "backslash, or use 'single quotes'",
    "found incompatible YAML document": "this version of YAML is not known: remove the %YAML line",
}
_AT_CONTEXT = frozenset({"could not find expected ':'", "found unexpected end of stream"})
"""Errors that are reported at the beginning of the unreadable part, not at its end."""


_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000"
ODD_SPACE = re.compile(f"[{_SPACES}]")
"""Characters that look like a space but are none in YAML."""
_MISLEADING = re.compile(f"^[ {_SPACES}]*?(?P<indent>[{_SPACES}])|[:,-] *(?P<behind>[{_SPACES}])")
_LINES_BEFORE = 2


def odd_space(character: str) -> str:
    """Return the message about such a character."""
    return (
        f"the character U+{ord(character):04X} looks like a space and is none to YAML: write spaces"
    )


def explain(error: MarkedYAMLError, text: str, before: Event | None = None) -> UnusableDocument:
    """Return the parser's error with a message, at the position to fix. `before` is the last event
    before the error."""
    problem = error.problem or "this is not YAML"
    if error.problem_mark and (found := _odd_space_before(text, error.problem_mark.line)):
        return found
    if error.problem_mark and _is_long_quote(before, error.problem_mark.line):
        assert before is not None  # noqa: S101  # a quote is something
        start, end = before.start_mark, before.end_mark
        return UnusableDocument(
            Position(start.line + 1, start.column + 1),
            "syntax",
            f"the quote that opens here is closed in line {end.line + 1} only: close it where it "
            "ends",
        )
    mark = (
        error.context_mark if problem in _AT_CONTEXT and error.context_mark else error.problem_mark
    )
    position = Position(mark.line + 1, mark.column + 1) if mark else START
    if "tab character" in problem or _character(text, position) == "\t":
        return UnusableDocument(position, "tab", _TAB)
    if problem not in _AT_CONTEXT and _is_end(text, position):
        return UnusableDocument(
            position, "syntax", "the file ends within a list or mapping: close what is open"
        )
    return UnusableDocument(
        position, "syntax", _SENTENCES.get(problem, f"this is not YAML: {problem}")
    )


def _odd_space_before(text: str, line: int) -> UnusableDocument | None:
    """Return the error about an odd space in this line or the ones shortly before, or None."""
    every = lines(text)
    for number in range(min(line, len(every) - 1), max(line - _LINES_BEFORE, 0) - 1, -1):
        if match := _MISLEADING.search(every[number]):
            group = "indent" if match["indent"] else "behind"
            return UnusableDocument(
                Position(number + 1, match.start(group) + 1), "syntax", odd_space(match[group])
            )
    return None


def _is_long_quote(before: Event | None, line: int) -> bool:
    """Return whether a quoted text of several lines ended in this line. Its last quote may have
    been meant to open another text."""
    return (
        isinstance(before, ScalarEvent)
        and before.style in {"'", '"'}
        and before.start_mark.line < before.end_mark.line == line
    )


def _is_end(text: str, position: Position) -> bool:
    return position.line > len(lines(text.rstrip()))


def _character(text: str, position: Position) -> str:
    line = lines(text)[position.line - 1 : position.line]
    return line[0][position.column - 1 : position.column] if line else ""
