"""Label selectors as Kubernetes has them: the same for the command line, the API and the page."""

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
    """One condition. Without `values` it asks whether the label is there at all."""

    key: str
    values: frozenset[str] | None
    holds: bool = True
    """False: the contrary. `!=` and `notin` also select what does not have the label."""

    def met(self, labels: Mapping[str, str]) -> bool:
        found = self.key in labels if self.values is None else labels.get(self.key) in self.values
        return found is self.holds


class Selector(Struct, frozen=True):
    """Selects what meets every requirement; without any, everything. `text` is as it was
    written."""

    text: str = ""
    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.met(labels) for requirement in self.requirements)

    def __and__(self, other: Selector) -> Selector:
        texts = [text for text in (self.text, other.text) if text]
        return Selector(",".join(texts), self.requirements + other.requirements)


EVERYTHING = Selector()


def selector(text: str) -> Selector:
    """Read a selector such as `team in (sales,support),!old`. Raises ValueError, whose message
    tells what is right."""
    return Selector(text, tuple(map(_requirement, _parts(text)))) if text.strip() else EVERYTHING


def assignments(text: str) -> dict[str, str]:
    """Read `team=sales,env=test`: labels to give. Raises ValueError."""
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
    """What stands between commas that are in no brackets."""
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
