"""Which collectors a text or labels select."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.collector_search import matches
from reconciler.model.status import ShownCollector, ShownMetadata, Status

SPEC: dict[str, Any] = {
    "title": "Почта отдела ПРОДАЖ",
    "source": {
        "protocol": "imap",
        "host": "imap.почта.рф",
        "username": "пример@почта.рф",
        "address": "Me@Example.ORG",
        "password": {"file": "/run/secrets/hidden"},
    },
    "recipient": {
        "detect": {
            "from": ["Straße.example"],
            "to": "икс.рф",
            "mailboxes": ["раз"],
            "aliases": {"Sales": "ivanov"},
            "default": "info@икс.рф",
        }
    },
}
SHOWN = ShownCollector(
    metadata=ShownMetadata(name="sales", labels={"team": "north"}), spec=SPEC, status=Status()
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "sales",
        "SALES",
        "отдела продаж",
        "продаж почта",
        "IMAP.ПОЧТА.РФ",
        "пример@",
        "me@example.org",
        "info@икс.рф",
        "раз",
        "ivanov",
        "sAlEs",
        "team=north",
        "north",
        "STRASSE.EXAMPLE",
        "imap.xn--80a1acny.xn--p1ai",
        "при" + "ме" + "р",
    ],
)
def test_found(text: str) -> None:
    assert matches(SHOWN, text)


@pytest.mark.parametrize(
    "text", ["nobody", "sales nobody", "hidden", "forwardTo", "mailboxes", "team=south"]
)
def test_not_found(text: str) -> None:
    assert not matches(SHOWN, text)


def test_composed_and_decomposed_letters_are_the_same() -> None:
    shown = SHOWN.model_copy(update={"spec": {"title": "Cafe\u0301 Йод"}})

    assert matches(shown, "CAFÉ")
    assert matches(shown, "и\u0306од")


def test_a_labels_in_the_manifest_are_found_by_their_letters() -> None:
    shown = SHOWN.model_copy(update={"spec": {"source": {"host": "imap.xn--80a1acny.xn--p1ai"}}})

    assert matches(shown, "почта.рф")


def test_collector_without_a_spec_has_a_name() -> None:
    shown = SHOWN.model_copy(update={"spec": {}})

    assert matches(shown, "sales")
    assert not matches(shown, "imap")
