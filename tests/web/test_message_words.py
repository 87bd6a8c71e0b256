"""Sentences of the program in Russian: the catalogue is complete, and values find their places."""

from __future__ import annotations

import pytest
from babel.messages.pofile import read_po

from reconciler.model import errors
from reconciler.planning import desired_state, version_choice
from reconciler.web.page.message_words import entries
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import reason_words
from reconciler.web.page.sentence_template import SentenceTemplate
from tests.project.sentences import PACKAGE, templates

CATALOGUE = PACKAGE / "web" / "page" / "locale" / "messages.ru.po"
RUSSIAN = Language("ru")


def test_every_sentence_of_the_package_is_there_in_russian() -> None:
    known = entries(CATALOGUE.read_text())
    assert sorted(templates() - set(known)) == []


def test_no_sentence_is_left_that_the_package_makes_no_more() -> None:
    with CATALOGUE.open("rb") as file:
        found = {
            str(one.id[0] if isinstance(one.id, tuple) else one.id)
            for one in read_po(file, locale="ru")
            if one.id and not one.auto_comments
        }
    assert sorted(found - templates()) == []


def test_the_catalogue_is_read_as_babel_reads_it() -> None:
    with CATALOGUE.open("rb") as file:
        by_babel = {
            str(one.id[0] if isinstance(one.id, tuple) else one.id): list(
                map(str, one.string if isinstance(one.string, tuple) else (one.string,))
            )
            for one in read_po(file, locale="ru")
            if one.id
        }
    assert entries(CATALOGUE.read_text()) == by_babel


def test_a_translation_has_the_values_of_its_sentence() -> None:
    wrong = [
        (source, text)
        for source, texts in entries(CATALOGUE.read_text()).items()
        for text in texts
        if not values(text) <= values(source)
    ]
    assert wrong == []


def values(text: str) -> set[str]:
    return {one for number in range(10) if (one := f"{{{number}}}") in text}


def test_every_sentence_is_recognised_with_values_in_it() -> None:
    """Values as they stand in messages: no sentence is taken for another one."""
    english = {}
    for source in entries(CATALOGUE.read_text()):
        made = source
        for number in range(10):
            made = made.replace(f"{{{number}}}", f"`v{number}`")
        told = RUSSIAN.translate(made)
        if told == made and source not in SAME:
            english[source] = told
    assert english == {}


SAME = {"lmtp {0}", "smtp {0}:{1}", "mailcollector collect NAME --accept-maildirs", "true or false"}
"""Sentences that are the same in Russian."""


CASES = {
    "127.0.0.1:1: Connection refused": "127.0.0.1:1: соединение отклонено",
    "/m/x.yaml:13:13: `intervall` is no field of spec.collect: did you mean `interval`?": (
        "/m/x.yaml:13:13: поля `intervall` нет в spec.collect: возможно, имелось в виду `interval`?"
    ),
    "`port` wants a whole number, but `993` is text: remove the quotes": (
        "`port`: ожидается целое число, а `993` — это текст: уберите кавычки"
    ),
    "`@` is no domain: write it like example.org, without `@`": (
        "`@` — не домен: пишите как example.org, без `@`"
    ),
    "mx:993: login refused: [LIMIT] No, not in this way. Correct the user name or the password.": (
        "mx:993: вход отклонён: [LIMIT] No, not in this way. Исправьте логин или пароль."
    ),
    "not tried: legal: next attempt at 2026-11-28T19:58:46.862341Z: mx:993: login refused: no": (
        "попытки не было: legal: следующая попытка 28 нояб. 2026, 19:58 UTC: mx:993: вход "
        "отклонён: no"
    ),
    "its history (1,234 messages remembered) is kept while it is declared": (
        "его история (1\N{NO-BREAK SPACE}234 письма) хранится всё время, пока он объявлен"
    ),
    "its history (1 messages remembered) is kept while it is declared": (
        "его история (1 письмо) хранится всё время, пока он объявлен"
    ),
    "Some server said: this and that, in no order.": (
        "Some server said: this and that, in no order."
    ),
}


@pytest.mark.parametrize("said", CASES)
def test_a_message_in_russian(said: str) -> None:
    assert RUSSIAN.translate(said) == CASES[said]
    assert Language("en").translate(said) == said


def test_a_long_message_takes_no_longer_than_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hostile server's words, with many places where a part may end."""
    matches = 0
    match = SentenceTemplate.match

    def counted(template: SentenceTemplate, sentence: str) -> list[str] | None:
        nonlocal matches
        matches += 1
        return match(template, sentence)

    monkeypatch.setattr(SentenceTemplate, "match", counted)
    RUSSIAN.translate("mx: login refused: " + "a: refused, b; " * 60)
    assert matches < 50_000


def test_every_reason_of_a_condition_has_words() -> None:
    ended = {
        one.reason
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.CollectorError)
    }
    held = {
        version_choice.INVALID,
        version_choice.UNREADABLE,
        version_choice.HELD,
        version_choice.DIRECTORY_VANISHED,
        desired_state.RENAMING,
    }
    wordless = {one for one in ended | held if reason_words(one, Language("en")) == one}
    assert wordless == set()
