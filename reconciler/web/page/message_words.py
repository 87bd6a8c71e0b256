"""The sentences that the program makes, in the reader's language.

Errors, diagnostics, conditions and plans are made in English, where nobody knows who reads them.
The page recognises the templates that they were made from, and puts their values into the
translated ones. The templates are those of `locale/messages.LANGUAGE.po`, with `{0}`, `{1}` and so
on for the values. A test collects the templates of the whole package and proves that none is
missing. What a server said was made from none of them, and stays as it is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files

from reconciler.web.page.sentence_template import SentenceTemplate, has_values

_SEPARATOR = re.compile(r": |; |\. |, ")
_PREDICATE = re.compile(r"(?:is|holds|has|belongs|cannot) ")
"""The start of an entry that can also stand behind the subject of a sentence."""
_MOST_PARTS = 16
"""Parts of a message that are looked at; what stands behind them stays as it is."""
_LONGEST = 4_000
_WORDS = re.compile(r"[A-Za-z]{2}")
_LINE = re.compile(r'(msgid|msgstr)(?:_plural|\[[0-9]\])? (".+")')

Templates = Sequence[SentenceTemplate]


class MessageWords:
    """The sentences in one language. `value` translates a value of another kind, such as a number
    or a time; it returns "" for what it does not know. `plural`: which form a number wants.
    `more`: templates that stand elsewhere."""

    def __init__(
        self,
        code: str,
        value: Callable[[str], str],
        plural: Callable[[int], int],
        more: Mapping[str, str],
    ) -> None:
        self._value, self._plural = value, plural
        path = files("reconciler.web.page") / "locale" / f"messages.{code}.po"
        known = {source: [text] for source, text in more.items()} | entries(path.read_text())
        self._exact = {text: to[0] for text, to in known.items() if not has_values(text)}
        of_something = {
            f"{{0}} {text}": [f"{{0}} {to}"]
            for text, to in self._exact.items()
            if _PREDICATE.match(text)
        }
        self._templates = sorted(
            (
                SentenceTemplate.of(text, tuple(to))
                for text, to in (known | of_something).items()
                if has_values(text)
            ),
            key=lambda one: (not one.texts[0], -one.weight),
        )
        self.translate = functools.lru_cache(maxsize=4096)(self._translated)

    def _translated(self, message: str) -> str:
        """Return a message in this language, as far as it is of ours."""
        if len(message) > _LONGEST:
            return message
        return self._translated_part(
            message, [one for one in self._templates if one.longest in message]
        )

    def _translated_part(self, text: str, templates: Templates) -> str:
        """Return a message, or a value in it. `templates`: those that can be in it."""
        if not _WORDS.search(text):
            return self._value(text) or text
        return self._part(text, templates) or "".join(self._by_parts(text, templates))

    def _known(self, text: str, templates: Templates) -> str:
        """Return the translation of a text that is known as a whole; "" for another one."""
        found = self._exact.get(text) or self._value(text)
        if found:
            return found
        for template in templates:
            values = template.match(text)
            if values is not None:
                return template.filled(
                    values, lambda value: self._translated_part(value, templates), self._plural
                )
        return ""

    def _by_parts(self, text: str, templates: Templates) -> Iterator[str]:
        """Yield a message of several parts, such as an error, what the server said, and advice.
        Each part that is known is translated, the longest first."""
        cuts = [found.span() for found in _SEPARATOR.finditer(text)][:_MOST_PARTS]
        ends, start = [*cuts, (len(text), len(text))], 0
        while ends:
            whole = start == 0
            for number in reversed(range(len(ends) - whole)):
                end, then = ends[number]
                if part := self._part(text[start:end], templates):
                    break
            else:
                number, (end, then) = 0, ends[0]
                part = text[start:end]
            yield part
            yield text[end:then]
            start, ends = then, ends[number + 1 :]

    def _part(self, text: str, templates: Templates) -> str:
        """Return the translation of a part; a sentence counts with and without its full stop."""
        if not _WORDS.search(text):
            return ""
        if found := self._known(text, templates):
            return found
        if text.endswith("."):
            return f"{found}." if (found := self._known(text[:-1], templates)) else ""
        return self._known(f"{text}.", templates).rstrip(".")


def entries(catalogue: str) -> dict[str, list[str]]:
    """Return the entries of a catalogue, the translations by the text.

    Each text stands in one line there. babel's parser knows the whole of the format, and takes
    half a second for it.
    """
    found: dict[str, list[str]] = {}
    text = ""
    for kind, quoted in _LINE.findall(catalogue):
        if kind == "msgid":
            text = json.loads(quoted)
        else:
            found.setdefault(text, []).append(json.loads(quoted))
    return found
