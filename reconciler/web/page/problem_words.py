"""Problems of a form, in words for the person at the form: if possible without the manifest's keys,
and without paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.web.page.form_problems import FormProblem
from reconciler.web.page.form_values import WHOLE_NUMBER
from reconciler.web.page.page_translation import Language
from reconciler.web.page.rule_words import rule_words
from reconciler.web.page.schema_fields import SchemaField

RANGE = "Write a whole number from %(least)s to %(most)s."
_CODE = re.compile(r"`([^`]*)`")


class WordedProblem(Struct, frozen=True):
    """A problem as it is shown. `place` is where it stands in the manifest, where no field of the
    form does. `foreign`: the message is English, and the reader's language is another one."""

    message: str
    field: str
    place: str
    foreign: bool


def problem_words(
    problems: Iterable[FormProblem],
    leaves: Mapping[str, SchemaField],
    language: Language,
    directory: str,
) -> list[WordedProblem]:
    """Return problems in the reader's language, as far as there are words. `directory` is that of
    the manifests: paths are told from there on."""
    return [_worded(one, leaves.get(one.field), language, directory) for one in problems]


def _worded(
    one: FormProblem, leaf: SchemaField | None, language: Language, directory: str
) -> WordedProblem:
    place = "" if one.field else one.place.removeprefix(f"{directory}/")
    own = _in_own_words(one, leaf, language)
    if own:
        return WordedProblem(own, one.field, place, foreign=False)
    translated = language.translate(one.message)
    message = _CODE.sub(r"“\1”", translated.replace(f"{directory}/", ""))
    sentence = message[:1].upper() + message[1:].rstrip(".") + "."
    foreign = translated == one.message and language.code != "en"
    return WordedProblem(sentence, one.field, place, foreign)


def _in_own_words(one: FormProblem, leaf: SchemaField | None, language: Language) -> str:
    """Return a sentence of the page's; "" where it has none."""
    is_number = one.rule == "out-of-range" or one.message == WHOLE_NUMBER
    if is_number and leaf is not None and leaf.least is not None and leaf.most is not None:
        limits = {"least": language.number(leaf.least), "most": language.number(leaf.most)}
        return language.gettext(RANGE) % limits
    if one.rule:
        return rule_words(one.rule, language) if one.field else ""
    sentence = language.gettext(one.message)
    return sentence if sentence != one.message or one.message.endswith(".") else ""
