"""Label selectors with the syntax of Kubernetes, for the command line, the API and the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

_WORD = r"[^\s,=!()<>]+"
_TEXT = rf"{_WORD}(?:\s+{_WORD})*"
_SET = re.compile(rf"(?P<key>{_WORD})\s+(?P<not>not)?in\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"(?P<key>{_WORD})\s*(?P<not>!)?==?\s*(?P<value>{_TEXT})?")
_EXISTS = re.compile(rf"(?P<not>!)?\s*(?P<key>{_WORD})")
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
    return Selector(text, tuple(map(_requirement, _parts(text)))) if text.strip() else EVERYTHING


def assignments(text: str) -> dict[str, str]:
    """Return the labels of a text such as `team=sales,env=test`. Raises ValueError."""
    given: dict[str, str] = {}
    for part in text.split(","):
        match = _EQUAL.fullmatch(part.strip())
        if match is None or match["not"] or "==" in part:
            raise ValueError(
                f"{part.strip()!r} gives no label: write LABEL=VALUE, and commas between several"
            )
        given[match["key"]] = match["value"] or ""
    return given


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas outside of parentheses."""
    depth = start = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()


def _requirement(part: str) -> Requirement:
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], values, holds=not match["not"])
    if match := _EQUAL.fullmatch(part):
        return Requirement(match["key"], frozenset({match["value"] or ""}), holds=not match["not"])
    if match := _EXISTS.fullmatch(part):
        return Requirement(match["key"], None, holds=not match["not"])
    raise ValueError(f"{part!r} selects nothing: write {FORMS}")
