"""Changes of fields in a text: exactly the field's characters change, whatever surrounds them."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifests.editing.yaml_patch import (
    MISSING,
    MOST_REWRITTEN,
    Setting,
    Unpatchable,
    apply_settings,
    typed_yaml,
    yaml_value,
)
from reconciler.manifests.yaml.document_reader import read

TEXT = """\
# yaml-language-server: $schema=x
# head
apiVersion: mailcollector/v1   # v
kind: MailCollector
metadata: {name: sales, labels: {team: "x"}}
spec:
    # about
    title: 'Hello'    # t
    source:
      {protocol: imap, host: h.example,
       username: "u",   password: {file: p}}
    recipient:
        forwardTo: a@b.example   # to
    collect:
        limit:
        mode: >-
            new-keep
# about what follows

# end
"""


def set_(path: str, value: Any) -> Setting:
    return Setting(tuple(path.split(".")), value)


@pytest.mark.parametrize(
    ("setting", "gone", "come"),
    [
        (
            set_("spec.title", "Bye 'x'"),
            ["    title: 'Hello'    # t"],
            ["    title: 'Bye ''x'''    # t"],
        ),
        (
            set_("spec.source.username", "new"),
            ['       username: "u",   password: {file: p}}'],
            ['       username: "new",   password: {file: p}}'],
        ),
        (
            set_("spec.source.folders", ["INBOX", "Lists/*"]),
            ['       username: "u",   password: {file: p}}'],
            ['       username: "u",   password: {file: p}, folders: [INBOX, Lists/*]}'],
        ),
        (set_("spec.title", MISSING), ["    title: 'Hello'    # t"], []),
        (
            set_("spec.recipient.forwardTo", "c@d.example"),
            ["        forwardTo: a@b.example   # to"],
            ["        forwardTo: c@d.example   # to"],
        ),
        (set_("spec.recipient.detect.to", "d"), [], ["        detect: {to: d}"]),
        (
            set_("metadata.labels", MISSING),
            ['metadata: {name: sales, labels: {team: "x"}}'],
            ["metadata: {name: sales}"],
        ),
        (
            set_("metadata.labels.new", "no"),
            ['metadata: {name: sales, labels: {team: "x"}}'],
            ['metadata: {name: sales, labels: {team: "x", new: "no"}}'],
        ),
        (set_("spec.collect.limit", 5), ["        limit:"], ["        limit: 5"]),
        (
            set_("spec.collect.mode", "all-delete"),
            ["        mode: >-", "            new-keep"],
            ["        mode: all-delete"],
        ),
    ],
)
def test_only_what_is_meant_changes(setting: Setting, gone: list[str], come: list[str]) -> None:
    lines = [
        line
        for line in difflib.ndiff(TEXT.splitlines(), apply_settings(TEXT, [setting]).splitlines())
        if line[0] in "+-"
    ]
    assert [line[2:] for line in lines if line[0] == "-"] == gone
    assert [line[2:] for line in lines if line[0] == "+"] == come


def test_new_fields_follow_the_last_one_and_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    after = apply_settings(text, [set_("spec.enabled", False)])
    assert after.replace("    enabled: false\r\n", "") == text
    assert "\n" not in after.replace("\r\n", "")


def test_nothing_to_change_changes_nothing() -> None:
    assert (
        apply_settings(TEXT, [set_("spec.title", "Hello"), set_("spec.nothing", MISSING)]) == TEXT
    )


def test_the_last_field_of_a_mapping_leaves_an_empty_one_and_comments() -> None:
    after = apply_settings(TEXT, [set_("spec.recipient.forwardTo", MISSING)])
    assert data(after)["spec"]["recipient"] == {}
    assert "# head" in after
    assert "'Hello'" in after


def test_an_alias_is_changed_and_not_its_anchor() -> None:
    text = "spec:\n  a: &x {k: 1}  # one\n  b: *x\n"
    after = apply_settings(text, [set_("spec.b.k", 2)])
    assert data(after)["spec"] == {"a": {"k": 1}, "b": {"k": 2}}
    assert "# one" in after


@pytest.mark.parametrize("value", ["1", '"1"', "{k: 1}", "[1]", "|\n    one"])
def test_an_alias_is_replaced_and_not_its_anchor(value: str) -> None:
    text = f"spec:\n  a: &x {value}\n  b: *x\n"
    after = apply_settings(text, [set_("spec.b", 2)])
    assert data(after)["spec"] == {"a": data(text)["spec"]["a"], "b": 2}


def test_a_field_below_a_value_is_refused() -> None:
    with pytest.raises(Unpatchable, match="title is no mapping"):
        apply_settings(TEXT, [set_("spec.title.more", 1)])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10m", "10m"),
        ("7", 7),
        ("true", True),
        ("[a, b]", ["a", "b"]),
        ('"7"', "7"),
        ("010", "010"),
        ("", None),
        ("Hello: you", "Hello: you"),
        ("{a: 1}", {"a": 1}),
        ("# x", "# x"),
    ],
)
def test_values_as_people_type_them(text: str, value: object) -> None:
    assert typed_yaml(text) == value


def test_a_value_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(Unpatchable):
        typed_yaml("[a")


@settings(deadline=None, max_examples=60)
@given(
    st.text(
        st.characters(
            codec="utf-8",
            exclude_categories=["Cs", "Cc", "Co", "Cn"],
            exclude_characters="\u2028\u2029\ufeff",
        ),
        max_size=40,
    )
)
def test_every_text_reads_back_as_it_was(text: str) -> None:
    for style in (None, "'", '"'):
        assert data(f"a: {yaml_value(text, style)}\n") == {"a": text}
        assert data(f"a: {{b: {yaml_value(text, style)}, c: 1}}\n") == {"a": {"b": text, "c": 1}}
    assert data(apply_settings(TEXT, [set_("spec.title", text)]))["spec"]["title"] == text


def data(text: str) -> Any:
    found, unusable = read(text.encode())
    assert unusable is None
    return found[0].root.value


@pytest.mark.parametrize("before", ["", "  title: a\n"])
def test_comments_without_number_cost_nothing(before: str) -> None:
    """The time of the round trip's composer grows with their square: it would need minutes."""
    text = f"a: 1\nspec:\n{before}" + "  #\n" * 220_000 + "  enabled: true\n"
    after = apply_settings(text, [set_("spec.enabled", value=False)])
    assert after == text.replace("true", "false")


def test_a_text_of_far_too_many_lines_is_not_written_anew() -> None:
    aliased, long = "a: &a {b: 1}\nc: *a\n", "#\n" * (MOST_REWRITTEN + 1)
    setting = set_("c.b", 2)
    with pytest.raises(Unpatchable, match="lines"):
        apply_settings(long + aliased, [setting])
    assert apply_settings(aliased, [setting]) == "a: {b: 1}\nc: {b: 2}\n"
