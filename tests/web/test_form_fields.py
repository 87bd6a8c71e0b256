"""The form's fields: what the schema tells, names from titles, values to manifests and back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from babel.messages.pofile import read_po

from reconciler.manifests.checks import rule_catalogue
from reconciler.manifests.schema_export import json_schema
from reconciler.model.known_providers import PROVIDERS
from reconciler.model.refusal_meaning import Meaning
from reconciler.web.page import form_problems, form_values, problem_words, rule_words
from reconciler.web.page.collector_naming import name_from
from reconciler.web.page.form_fields import (
    as_sent,
    at,
    in_order,
    read_form,
    shown_values,
    under_more,
)
from reconciler.web.page.form_labels import label
from reconciler.web.page.form_values import UnreadableValue, typed_value
from reconciler.web.page.login_provider import known_account
from reconciler.web.page.page_translation import Language, advice_texts
from reconciler.web.page.schema_fields import SchemaField, collector_fields, fields_of
from tests.project import ROOT

FIELDS = collector_fields()
SALES: dict[str, Any] = {
    "apiVersion": "mailcollector/v1",
    "kind": "MailCollector",
    "metadata": {"name": "sales", "labels": {"team": "sales"}},
    "spec": {
        "source": {
            "protocol": "imap",
            "host": "imap.example.org",
            "username": "sales@example.org",
            "password": {"file": "../secrets/sales"},
            "folders": ["INBOX", "Lists/*"],
        },
        "recipient": {"forwardTo": "sales@example.net"},
    },
}


def edited(present: dict[str, Any] = SALES, /, **changes: str) -> dict[str, Any]:
    """The manifest after a form, loaded from it, was sent with these changes; `__` is a dot."""
    loaded = shown_values(FIELDS, present, {})
    sent = as_sent(loaded | {name.replace("__", "."): text for name, text in changes.items()})
    found = read_form(FIELDS, sent, loaded, present)
    assert not found.problems
    return found.data


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Sales", "sales"),
        ("Почта отдела продаж", "pochta-otdela-prodazh"),
        ("Щука, ёлка & Ко.", "shchuka-elka-ko"),
        ("Straße Größe", "strasse-grosse"),
        ("Ελληνικά", "ellinika"),
        ("한국어", "hangugeo"),
        ("販売", "xn--" + "販売".encode("punycode").decode()),
        ("!!!", ""),
        ("x" * 99, "x" * 63),
    ],
)
def test_a_name_is_made_from_a_title_of_any_script(title: str, name: str) -> None:
    assert name_from(title, ()) == name


def test_a_name_is_unique() -> None:
    assert name_from("Sales", {"sales", "sales-2"}) == "sales-3"
    assert len(name_from("x" * 99, {"x" * 63})) == 63


@pytest.mark.parametrize("title", ["مبيعات", "हिन्दी", "עברית", "ไทย", "𝔖ales", "ﬁx", "٣ أ", "-a-"])
def test_a_name_is_a_dns_label(title: str) -> None:
    name = name_from(title, ())
    pattern = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
    assert name
    assert re.fullmatch(pattern, name)


def test_a_form_that_nobody_changed_changes_nothing() -> None:
    assert edited() == SALES


def test_only_what_was_changed_is_written() -> None:
    assert edited(spec__collect__interval="5m") == SALES
    assert edited(spec__collect__interval="9m")["spec"]["collect"] == {"interval": "9m"}
    assert at(edited(spec__title="Продажи"), ("spec", "title")) == "Продажи"


def test_an_emptied_field_is_removed_with_what_is_empty_then() -> None:
    assert "labels" not in edited(metadata__labels="")["metadata"]
    found = edited(spec__source__password__file="", spec__source__password__env="P")
    assert found["spec"]["source"]["password"] == {"env": "P"}


def test_lists_mappings_numbers_and_flags_are_read() -> None:
    found = edited(
        spec__source__folders="INBOX\r\n\r\n Sent ",
        metadata__labels="team: x\nsite=berlin",
        spec__source__port="1993",
        spec__enabled="false",
        spec__collect__push="true",
    )
    assert found["spec"]["source"]["folders"] == ["INBOX", "Sent"]
    assert found["metadata"]["labels"] == {"team": "x", "site": "berlin"}
    assert (found["spec"]["source"]["port"], found["spec"]["enabled"]) == (1993, False)
    assert found["spec"]["collect"] == {"push": True}


def test_what_cannot_be_read_is_a_problem_of_its_field() -> None:
    loaded = shown_values(FIELDS, SALES, {})
    sent = loaded | {"spec.source.port": "many", "metadata.labels": "team"}
    found = read_form(FIELDS, sent, loaded, SALES)
    assert found.problems == {
        "spec.source.port": form_values.WHOLE_NUMBER,
        "metadata.labels": form_values.PAIRS,
    }


def test_ssl_off_is_no_encryption_unless_starttls_was_chosen() -> None:
    assert edited(ssl="")["spec"]["source"]["tls"] == "none"
    assert edited(ssl="", spec__source__tls="starttls")["spec"]["source"]["tls"] == "starttls"
    plain = edited(ssl="")
    assert edited(plain, ssl="on")["spec"]["source"].get("tls") is None
    later = edited(ssl="", spec__source__tls="starttls")
    assert shown_values(FIELDS, later, {})["ssl"] == "on"
    assert edited(later, ssl="")["spec"]["source"]["tls"] == "none"


def test_the_domains_of_detection_are_derived() -> None:
    detect = {"recipient": "detect", "spec__recipient__detect__default": "info@икс.рф"}
    found = edited(**detect)["spec"]["recipient"]
    assert found == {"detect": {"default": "info@икс.рф", "from": ["example.org"], "to": "икс.рф"}}
    by_server = edited(**detect, spec__source__username="sales")["spec"]["recipient"]
    assert by_server["detect"]["from"] == ["example.org"]
    said = edited(**detect, spec__recipient__detect__from="a.example\nb.example")
    assert said["spec"]["recipient"]["detect"]["from"] == ["a.example", "b.example"]
    back = edited(edited(**detect), recipient="forward", spec__recipient__forwardTo="x@example.net")
    assert back["spec"]["recipient"] == {"forwardTo": "x@example.net"}


def test_a_template_says_what_the_manifest_does_not() -> None:
    derived = {**SALES, "spec": {"from": "office", "source": {"username": "u"}}}
    inherited = {"spec": {"collect": {"interval": "1h"}, "recipient": {"detect": {"to": "b.c"}}}}
    loaded = shown_values(FIELDS, derived, inherited)
    assert (loaded["spec.collect.interval"], loaded["recipient"]) == ("1h", "detect")
    assert read_form(FIELDS, loaded, loaded, derived).data == derived


def test_a_new_manifest_is_in_the_order_of_the_schema() -> None:
    mixed = {"spec": {"recipient": {}, "title": "x", "other": 1}, "metadata": {"name": "a"}}
    found = in_order({"kind": "MailCollector", "apiVersion": "v", **mixed}, FIELDS)
    assert list(found) == ["apiVersion", "kind", "metadata", "spec"]
    assert list(found["spec"]) == ["title", "recipient", "other"]


def test_no_field_offers_a_secret_in_the_manifest() -> None:
    assert not [leaf for leaf in FIELDS.leaves() if leaf.keys[-1] == "value"]


TOMORROW: list[tuple[dict[str, Any], str, str, Any]] = [
    ({"type": "string"}, "text", "14d", "14d"),
    ({"type": "integer", "minimum": 1, "unit": "messages"}, "number", "14", 14),
    ({"type": "boolean", "default": True}, "flag", "false", False),
    ({"type": "string", "enum": ["a", "b"]}, "choice", "b", "b"),
    ({"type": "array", "items": {"type": "string"}}, "lines", "a\nb", ["a", "b"]),
    (
        {"type": "object", "additionalProperties": {"type": "string"}},
        "pairs",
        "a: b",
        {"a": "b"},
    ),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "yaml", "[1, x]", [1, "x"]),
    ({"type": "array", "items": {"type": "object"}}, "yaml", "- {name: x}\n", [{"name": "x"}]),
]


@pytest.mark.parametrize(("schema", "shape", "text", "value"), TOMORROW)
def test_a_field_of_tomorrow_is_in_the_form(
    schema: dict[str, Any], shape: str, text: str, value: object
) -> None:
    whole = json.loads(json_schema.text())
    new = {"title": "Delete later", "description": "When it is deleted there.", **schema}
    whole["definitions"]["CollectSpec"]["properties"]["deleteAfter"] = new
    fields = fields_of(whole)
    found = next(leaf for leaf in fields.leaves() if leaf.name == "spec.collect.deleteAfter")
    assert (found.shape, found.title) == (shape, "Delete later")
    assert found.description == "When it is deleted there."
    assert found.unit == schema.get("unit", "")
    assert typed_value(text, found) == value
    assert found in [leaf for group in under_more(fields) for leaf in group.leaves()]


def test_a_group_of_tomorrow_is_in_the_form() -> None:
    whole = json.loads(json_schema.text())
    whole["definitions"]["Via"] = {
        "title": "Way out",
        "type": "object",
        "properties": {"socks5": {"type": "string"}},
    }
    reference = {"allOf": [{"$ref": "#/definitions/Via"}], "description": "Where it goes out."}
    whole["definitions"]["SourceSpec"]["properties"]["via"] = reference
    leaf = next(leaf for leaf in fields_of(whole).leaves() if leaf.name == "spec.source.via.socks5")
    assert leaf.title == "Socks5"


def test_what_is_no_yaml_is_refused() -> None:
    field = SchemaField(("spec", "x"), "yaml", "X")
    with pytest.raises(UnreadableValue):
        typed_value("{a: ", field)


def test_a_login_tells_its_provider() -> None:
    english = Language("en")
    found = known_account("anna@gmail.com", "", english)
    assert found
    assert (found.host, found.protocol, found.port, found.tls) == (
        "imap.gmail.com",
        "imap",
        "",
        "implicit",
    )
    assert found.advice[0] == "Gmail wants an app password, not the account's own."
    pop3 = known_account("anna@gmail.com", "pop3", english)
    assert pop3
    assert pop3.host == "pop.gmail.com"
    assert known_account("gmail", "", english) is None
    assert known_account("anna@example.org", "", english) is None


def test_the_rules_with_words_are_there() -> None:
    assert set(rule_words.RULES) <= set(rule_catalogue.RULES)
    assert rule_words.rule_words("interval", Language("ru"))
    assert not rule_words.rule_words("interval", Language("en"))


def russian() -> set[str]:
    path = ROOT / "reconciler" / "web" / "page" / "locale" / "ru.po"
    with path.open("rb") as file:
        texts = read_po(file, locale="ru")
    return {str(one.id) for one in texts if one.id and one.string and not one.fuzzy}


def schema_texts(field: SchemaField) -> set[str]:
    """What the form shows of a field in the reader's language."""
    found = {label(field, Language("en")), field.description, field.unit}
    if field.name != "spec.source.provider":  # names
        found |= {meaning for _, meaning in field.choices}
    return found.union(*(schema_texts(below) for below in field.fields)) - {""}


def test_every_text_of_the_form_is_there_in_russian() -> None:
    shown = set().union(*(schema_texts(group) for group in under_more(FIELDS)))
    own = {text for name, text in vars(form_problems).items() if name.startswith("NO_")}
    own |= {form_problems.BAD_PASSWORD, form_problems.NAME_TAKEN, problem_words.RANGE}
    own |= {form_values.WHOLE_NUMBER, form_values.PAIRS, form_values.NOT_YAML, form_values.TWICE}
    advice = {sentence for provider in PROVIDERS for sentence in provider.prepare}
    advice |= advice_texts()
    rules = set(rule_words.RULES.values())
    assert (shown | own | advice | rules) - russian() == set()
    assert Language("ru").pgettext("field", "Collect") == "Собирать"
    assert Language("en").pgettext("field", "Collect") == "Collect"


def test_advice_about_a_refusal_is_in_the_readers_language() -> None:
    russian, english = Language("ru"), Language("en")
    off = Meaning.PROTOCOL_OFF.value.replace("{protocol}", "POP3")
    assert "Включите POP3" in russian.translate(off)
    assert english.translate(off) == off
    waits = "It is tried again soon. It asks to wait 5 minutes."
    told = russian.translate(waits)
    assert told == "Скоро будет новая попытка. Просит подождать: 5 минут."
    assert russian.translate("said by a server") == "said by a server"
