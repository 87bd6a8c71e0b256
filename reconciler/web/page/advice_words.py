"""Advice about what servers refuse, in the reader's language. The errors have it in English."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import timedelta

from reconciler.model.known_providers import PROVIDERS
from reconciler.model.refusal_meaning import Meaning
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop

_WAIT = re.compile(r"(?s)(.*)\. It asks to wait (\d+) (hours|minutes|seconds)\.")
_FILE_ERRORS = {
    "No such file or directory": gettext_noop("there is no such file"),
    "Permission denied": gettext_noop("the service may not read it"),
}
_SECRET = re.compile(
    rf"cannot read the secret file (?P<file>.+): (?P<why>{'|'.join(_FILE_ERRORS)})(?:;|$)"
)
_WAITING = gettext_noop("It asks to wait: %(time)s.")


def advice_words(advice: str, language: Language) -> str:
    """Return advice of an error in a language; as it is, where it is not of ours."""
    if waits := _WAIT.fullmatch(advice):
        time = language.length(timedelta(**{waits[3]: int(waits[2])}))
        waiting = language.gettext(_WAITING) % {"time": time}
        return f"{advice_words(waits[1], language).rstrip('. ')}. {waiting}"
    known = _known().get(advice.rstrip(". "))
    if known is None:
        return advice
    text, protocol = known
    return language.gettext(text).replace("{protocol}", protocol)


def secret_words(message: str, language: Language) -> str:
    """Return what is wrong with a secret's file; "" where the message tells of something else."""
    found = _SECRET.match(message)
    if found is None:
        return ""
    return f"{found['file']}: {language.gettext(_FILE_ERRORS[found['why']])}"


def advice_texts() -> set[str]:
    """Return every text of advice about refusals."""
    ours = {text for provider in PROVIDERS for text in provider.advice.values()}
    return ours | {meaning.value for meaning in Meaning}


@functools.cache
def _known() -> Mapping[str, tuple[str, str]]:
    """Return each text with the protocols in it: the text without, and the protocol."""
    return {
        text.replace("{protocol}", protocol).rstrip(". "): (text, protocol)
        for text in advice_texts()
        for protocol in ("IMAP", "POP3")
    }
