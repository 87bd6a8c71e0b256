"""The template of a sentence, with places for values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

_PLACE = re.compile(r"\{(\d?)\}")
_AFTER = (": ", ", ", " (", " and ")
"""The start of a value that stands directly behind another one."""
_BEHIND_A_SENTENCE = (" (", "; ", ". ", ", ")
_WHOLE = re.compile(r"[0-9]{1,9}")


def has_values(source: str) -> bool:
    """Return whether a text has places for values."""
    return _PLACE.search(source) is not None


class SentenceTemplate(Struct, frozen=True):
    """A template: the texts before, between and after its values. `longest` is the longest of them,
    and `weight` the length of all. `translations` has one text, or one for each plural."""

    texts: tuple[str, ...]
    translations: tuple[str, ...]
    longest: str
    weight: int

    @classmethod
    def of(cls, source: str, translations: tuple[str, ...]) -> SentenceTemplate:
        texts = tuple(_PLACE.split(source)[::2])
        return cls(texts, translations, max(texts, key=len), sum(map(len, texts)))

    def match(self, sentence: str) -> list[str] | None:
        """Return the values of a sentence of this template; None where it is of another one.

        Each text is taken where it comes first: if the sentence matches at all, it matches so.
        Thus the time grows with the length of the sentence alone.
        """
        if self.longest not in sentence:
            return None
        first, *between, last = self.texts
        at, end = len(first), len(sentence) - len(last)
        if end < at or not sentence.startswith(first) or not sentence.endswith(last):
            return None
        values = []
        for text in between:
            found = sentence.find(text, at, end) if text else _end_of_value(sentence, at, end)
            if found < 0:
                return None
            values.append(sentence[at:found])
            at = found + len(text)
        values.append(sentence[at:end])
        return None if not first and self._is_of_several(values[0]) else values

    def _is_of_several(self, value: str) -> bool:
        """Return whether what a sentence begins with is more than one value: a place, and a
        sentence of its own. Some templates are about a sentence."""
        return ": " in value and not self.texts[1].startswith(_BEHIND_A_SENTENCE)

    def filled(
        self, values: Sequence[str], shown: Callable[[str], str], plural: Callable[[int], int]
    ) -> str:
        """Return the translation with these values. `shown` translates a value; the first number
        among the values decides which plural it is."""
        which = 0
        if len(self.translations) > 1:
            counts = (int(one.replace(",", "")) for one in values if _is_number(one))
            which = plural(next(counts, 2))
        return _PLACE.sub(lambda place: shown(values[int(place[1])]), self.translations[which])


def _is_number(value: str) -> bool:
    return _WHOLE.fullmatch(value.replace(",", "")) is not None


def _end_of_value(sentence: str, start: int, end: int) -> int:
    """Return where a value ends that another one follows directly."""
    found = (sentence.find(text, start, end) for text in _AFTER)
    return min((one for one in found if one >= 0), default=end)
