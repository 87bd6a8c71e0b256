"""The page's sentence after an action. It is one of a few fixed ones, named in the address that the
action leads to. No text of the address is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from reconciler.web.page.page_translation import Language

DONE, COUNT, REFUSED = "done", "count", "refused"
"""The query parameters: the sentence, and how many collectors were done and refused."""
Sentence = Callable[[Language, int], str]


class Notice(Struct, frozen=True):
    """A sentence. `tone` is `good` or `warn`."""

    text: str
    tone: str = "good"


def _collecting(language: Language, count: int) -> str:
    return language.ngettext(
        "%(count)s collector was asked to collect now.",
        "%(count)s collectors were asked to collect now.",
        count,
    )


def _enabled(language: Language, count: int) -> str:
    return language.ngettext(
        "%(count)s collector is enabled.", "%(count)s collectors are enabled.", count
    )


def _disabled(language: Language, count: int) -> str:
    return language.ngettext(
        "%(count)s collector is disabled.", "%(count)s collectors are disabled.", count
    )


def _deleted(language: Language, count: int) -> str:
    return language.ngettext(
        "%(count)s collector is deleted.", "%(count)s collectors are deleted.", count
    )


def _cleared(language: Language, count: int) -> str:
    return language.ngettext(
        "%(count)s collector was cleared: its messages count as new.",
        "%(count)s collectors were cleared: their messages count as new.",
        count,
    )


def _unparked(language: Language, count: int) -> str:
    return language.ngettext(
        "The next session tries %(count)s message again.",
        "The next sessions try %(count)s messages again.",
        count,
    )


def _saved(language: Language, _count: int) -> str:
    return language.gettext("Saved.")


def _reloaded(language: Language, _count: int) -> str:
    return language.gettext("All manifests were read again.")


def _paused(language: Language, _count: int) -> str:
    return language.gettext("The service is paused: no session starts.")


def _resumed(language: Language, _count: int) -> str:
    return language.gettext("The service goes on.")


def _nothing(language: Language, _count: int) -> str:
    return language.gettext("Select collectors first.")


def _rerouted(language: Language, count: int) -> str:
    return language.ngettext(
        "The mail of %(count)s collector goes to the new Destination now.",
        "The mail of %(count)s collectors goes to the new Destination now.",
        count,
    )


_SENTENCES: Mapping[str, Sentence] = {
    "collect": _collecting,
    "enable": _enabled,
    "disable": _disabled,
    "delete": _deleted,
    "clear": _cleared,
    "unpark": _unparked,
    "save": _saved,
    "reload": _reloaded,
    "reroute": _rerouted,
    "pause": _paused,
    "resume": _resumed,
    "nothing": _nothing,
}


def with_notice(path: str, done: str, count: int = 1, refused: int = 0) -> str:
    """Return a path that leads to the same page with a notice."""
    parts = urlsplit(path)
    query = [
        (key, value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
        if key not in {DONE, COUNT, REFUSED}
    ]
    query += [(DONE, done), (COUNT, str(count)), *([(REFUSED, str(refused))] if refused else [])]
    return urlunsplit(("", "", parts.path, urlencode(query), ""))


def notice_of(query: Mapping[str, str], language: Language) -> Notice | None:
    """Return the notice that an address asks for."""
    sentence = _SENTENCES.get(query.get(DONE, ""))
    if sentence is None:
        return None
    count, refused = _number(query.get(COUNT, "1")), _number(query.get(REFUSED, "0"))
    texts = []
    if count or not refused:
        texts.append(sentence(language, count) % {"count": language.number(count)})
    if refused:
        texts.append(
            language.ngettext(
                "%(count)s collector was refused: its page says why.",
                "%(count)s collectors were refused: their pages say why.",
                refused,
            )
            % {"count": language.number(refused)}
        )
    return Notice(" ".join(texts), "warn" if refused or sentence is _nothing else "good")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
