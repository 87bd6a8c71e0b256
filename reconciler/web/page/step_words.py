"""The reasons of a plan's steps in plain words."""

from __future__ import annotations

import re

from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop

_REASONS = {
    "declared": gettext_noop("declared"),
    "declared no longer": gettext_noop("declared no longer"),
    "disabled": gettext_noop("disabled"),
    "unchanged": gettext_noop("unchanged"),
    "its spec or destination changed": gettext_noop("its spec or destination changed"),
}
_PATTERNS = (
    (re.compile(r"\Arenamed to (?P<name>\S+)"), gettext_noop("renamed to %(name)s")),
    (
        re.compile(r"\A(?P<old>\S+) is called (?P<name>\S+) now"),
        gettext_noop("%(old)s is called %(name)s now"),
    ),
    (
        re.compile(r"\Aits template (?P<name>\S+) changed"),
        gettext_noop("its template %(name)s changed"),
    ),
    (
        re.compile(r"\Aits spec and its template (?P<name>\S+) changed"),
        gettext_noop("its spec and its template %(name)s changed"),
    ),
)


def step_words(reason: str, language: Language) -> str:
    """Return the reason of a step in a language; as it is, where it is another one's message."""
    if reason in _REASONS:
        return language.gettext(_REASONS[reason])
    for pattern, text in _PATTERNS:
        if found := pattern.fullmatch(reason):
            return language.gettext(text) % found.groupdict()
    return reason
