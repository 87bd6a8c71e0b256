"""Label selectors with the syntax of Kubernetes, for the command line, the API and the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct

_SPACE = "[ \\t\\r\\n]"
"""The same in every dialect of expressions; what `\\s` means differs."""
_BLANKS = " \t\r\n"
_WORD = r"[^ \t\r\n,=!()<>]+"
_TEXT = rf"{_WORD}(?:{_SPACE}+{_WORD})*"
_SET = re.compile(rf"(?P<key>{_WORD}){_SPACE}+(?P<not>not)?in{_SPACE}*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"(?P<key>{_WORD}){_SPACE}*(?P<not>!)?==?{_SPACE}*(?P<value>{_TEXT})?")
_EXISTS = re.compile(rf"(?P<not>!)?{_SPACE}*(?P<key>{_WORD})")
_PART = (
    rf"(?:{_WORD}{_SPACE}+(?:not)?in{_SPACE}*\([^()]*\)"
    rf"|{_WORD}{_SPACE}*!?==?{_SPACE}*(?:{_TEXT})?|!?{_SPACE}*{_WORD})"
)
SYNTAX = rf"^{_SPACE}*(?:{_PART}{_SPACE}*(?:,{_SPACE}*{_PART}{_SPACE}*)*)?$"
"""What a selector looks like, as a pattern of JSON Schema. Only for descriptions: it is not
linear."""
MOST_CONDITIONS = 64
"""The most conditions on labels of one query."""
FORMS = (
    "team=sales, team!=sales, team in (sales,support), team notin (sales), team, !team; "
    "a comma means and"
)


class Requirement(Struct, frozen=True):
    """A condition on a label. Without `values` it tests whether the label is present."""

    key: str
    values: frozenset[str] | None
    holds: bool = True
    """False negates the condition. `!=` and `notin` are also met if the label is missing."""

    def met(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet the condition."""
        found = self.key in labels if self.values is None else labels.get(self.key) in self.values
        return found is self.holds


class Selector(Struct, frozen=True):
    """A list of requirements, all of which must be met. `text` is the user's spelling."""

    text: str = ""
    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet every requirement."""
        return all(requirement.met(labels) for requirement in self.requirements)

    def __and__(self, other: Selector) -> Selector:
        texts = [text for text in (self.text, other.text) if text]
        return Selector(",".join(texts), self.requirements + other.requirements)


EVERYTHING = Selector()


def selector(text: str) -> Selector:
    """Return the selector of a text such as `team in (sales,support),!old`. Raises ValueError with
    the correct syntax."""
    if not text.strip(_BLANKS):
        return EVERYTHING
    parts = list(islice(_parts(text), MOST_CONDITIONS + 1))
    require_few(len(parts))
    return Selector(text, tuple(map(_requirement, parts)))


def require_few(conditions: int) -> None:
    """Raise ValueError where there are more conditions than a query may have: each is tried on
    thousands of collectors."""
    if conditions > MOST_CONDITIONS:
        raise ValueError(f"at most {MOST_CONDITIONS} conditions on labels can be given")


def assignments(text: str) -> dict[str, str]:
    """Return the labels of a text such as `team=sales,env=test`. Raises ValueError."""
    given: dict[str, str] = {}
    for part in text.split(","):
        match = _EQUAL.fullmatch(part.strip(_BLANKS))
        if match is None or match["not"] or "==" in part:
            given_text = part.strip(_BLANKS)
            raise ValueError(
                f"{given_text!r} gives no label: write LABEL=VALUE, and commas between several"
            )
        given[match["key"]] = match["value"] or ""
    return given


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas outside of parentheses."""
    depth = start = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:index].strip(_BLANKS)
            start = index + 1
    yield text[start:].strip(_BLANKS)


def _requirement(part: str) -> Requirement:
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip(_BLANKS) for value in match["values"].split(","))
        return Requirement(match["key"], values, holds=not match["not"])
    if match := _EQUAL.fullmatch(part):
        return Requirement(match["key"], frozenset({match["value"] or ""}), holds=not match["not"])
    if match := _EXISTS.fullmatch(part):
        return Requirement(match["key"], None, holds=not match["not"])
    raise ValueError(f"{part!r} selects nothing: write {FORMS}")
