"""The sentences of a check's report, in the reader's language where there is a translation."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from reconciler.web.page.page_translation import Language

_FIRST_SESSION = re.compile(
    r"would collect (\d+) of (\d+) messages, leave (\d+) for later, and "
    r"(?:delete (\d+) from the server|delete nothing)"
)
_NOT_TRIED = re.compile(r"not tried: \S+: next attempt at (\S+?): (.*)", re.DOTALL)
_LISTED = re.compile(r"(\d+) messages in (\d+) folders")


def sentence_words(text: str, language: Language) -> str:
    """Return a sentence of a check's report; what a server said stays as it is."""
    if found := _FIRST_SESSION.fullmatch(text):
        collected, listed, left, deleted = (
            language.number(int(one or 0)) for one in found.groups()
        )
        sentences = [
            language.gettext("A first session would collect %(collected)s of %(listed)s messages.")
            % {"collected": collected, "listed": listed}
        ]
        if found[3] != "0":
            sentences.append(
                language.gettext("It would leave %(left)s for later sessions.") % {"left": left}
            )
        sentences.append(
            language.gettext("It would delete %(deleted)s from the server.") % {"deleted": deleted}
            if found[4]
            else language.gettext("It would delete nothing from the server.")
        )
        return " ".join(sentences)
    if found := _NOT_TRIED.fullmatch(text):
        when, why = datetime.fromisoformat(found[1]), found[2]
        return language.gettext("not tried before %(time)s: %(why)s") % {
            "time": language.clock(when, datetime.now(UTC)),
            "why": language.translate(why),
        }
    if found := _LISTED.fullmatch(text):
        return language.gettext("messages: %(messages)s, folders: %(folders)s") % {
            "messages": language.number(int(found[1])),
            "folders": language.number(int(found[2])),
        }
    return language.gettext(text) if text else ""
