"""YAML: values, positions and bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifests.diagnostics import Position
from reconciler.manifests.loading import parse
from reconciler.manifests.yaml import document_reader
from reconciler.manifests.yaml.document_nodes import Document
from tests.manifests.samples import COLLECTOR


def value(text: str) -> Any:
    documents, unusable = document_reader.read(text.encode())
    assert unusable is None
    return documents[0].root.value


def only(text: str) -> Document:
    documents, unusable = document_reader.read(text.encode())
    assert unusable is None
    return documents[0]


def rules(data: bytes) -> set[str]:
    return {found.rule for found in parse(data, "a.yaml").diagnostics}


def test_L12_parser_is_libyaml() -> None:
    parser = document_reader._Reader("")._parser
    assert type(parser).__module__.startswith(("_ruamel_yaml", "ruamel.yaml.clib"))


def test_Y1_alias_bomb_costs_nothing() -> None:
    bomb = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 200)
    )
    documents, unusable = document_reader.read(bomb)
    assert unusable is not None
    assert unusable.rule == "alias-bomb"
    assert unusable.position.line <= 4
    assert documents == []


def test_Y1_modest_aliases_are_values() -> None:
    assert value("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_Y2_recursive_alias() -> None:
    assert rules(b"a: &a {b: *a}\n") == {"recursive-alias"}


def test_Y3_duplicate_key_is_seen_before_a_value_is_lost() -> None:
    found = parse(
        COLLECTOR.replace("    host:", "    host: a\n    host:").encode(), "a.yaml"
    ).diagnostics
    assert [(one.rule, one.line, one.column) for one in found] == [("duplicate-key", 9, 5)]


@pytest.mark.parametrize(
    "tag", ["!!str", "!!binary", "!include", "!!python/name:os.system", "!", "!<tag:x,2026:y>"]
)
def test_Y4_any_tag(tag: str) -> None:
    assert "tag" in rules(COLLECTOR.replace("host: ", f"host: {tag} ").encode())


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? ", "a:\n"])
def test_Y5_nesting_20000_deep(opening: str) -> None:
    text = (
        "".join(" " * n + opening for n in range(2000)) if opening == "a:\n" else opening * 20_000
    )
    assert rules(text.encode()) & {"too-deep", "syntax"}


@pytest.mark.parametrize(
    ("data", "rule", "position"),
    [
        (b"a: b\n\tc: d\n", "tab", Position(2, 1)),
        (b"a: b\0c\n", "control-character", Position(1, 5)),
        (b"a: \xd0\xbf\xff\n", "not-utf8", Position(1, 5)),
        (b"a: b\r\nc: \xff\n", "not-utf8", Position(2, 4)),
        (b"a: \xc2\x85\n", "control-character", Position(1, 4)),
    ],
)
def test_Y6_tab_nul_and_other_encodings(data: bytes, rule: str, position: Position) -> None:
    _, unusable = document_reader.read(data)
    assert unusable is not None
    assert (unusable.rule, unusable.position) == (rule, position)


def test_Y8_several_documents_of_which_empty_ones_are_ignored() -> None:
    text = f"---\n{COLLECTOR}---\n---\n# nothing\n---\n{COLLECTOR.replace('sales', 'trade')}"
    parsed = parse(text.encode(), "a.yaml")
    assert [manifest.name for manifest in parsed.manifests] == ["sales", "trade"]
    assert [manifest.line for manifest in parsed.manifests] == [2, 18]
    assert parsed.diagnostics == ()


@pytest.mark.parametrize(
    "text",
    [
        "010",
        "-010",
        "0x1F",
        "0o17",
        "0b11",
        "1e400",
        ".nan",
        ".inf",
        "-.INF",
        "9" * 30,
        "00",
    ],
)
def test_Y9_numbers_that_readers_disagree_about(text: str) -> None:
    assert rules(COLLECTOR.replace("sales@example.org", text).encode()) == {"ambiguous-number"}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("0", 0),
        ("-5", -5),
        ("+5", 5),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("'010'", "010"),
        ('"true"', "true"),
        ("tRue", "tRue"),
    ],
)
def test_Y9_plain_scalars_mean_what_yaml_1_2_says(text: str, meaning: object) -> None:
    found = value(f"a: {text}\n")["a"]
    assert found == meaning
    assert type(found) is type(meaning)


def test_Y9_keys_are_text_as_written() -> None:
    assert value("1: a\ntrue: b\n010: c\nnull: d\n") == {
        "1": "a",
        "true": "b",
        "010": "c",
        "null": "d",
    }


@pytest.mark.parametrize(
    "data", [b"[" + b"1," * 500_000, b"a: 1\n" * 150_000, b"- [x, x, x]\n" * 80_000]
)
def test_Y10_too_many_values(data: bytes) -> None:
    assert "too-many-values" in rules(data)


def test_Y14_half_written_file_has_no_manifest_but_keeps_the_names_it_shows() -> None:
    parsed = parse(
        f"{COLLECTOR}---\n{COLLECTOR[:120].replace('sales', 'trade')}\n".encode() + b"  x: [",
        "a.yaml",
    )
    assert parsed.manifests == ()
    assert [broken.name for broken in parsed.broken] == ["sales"]
    assert not parsed.complete


def test_every_prefix_of_a_manifest_is_judged() -> None:
    for end in range(len(COLLECTOR)):
        parsed = parse(COLLECTOR[:end].encode(), "a.yaml")
        assert parsed.manifests == () or end >= COLLECTOR.index("example.net")


def test_places_count_characters_in_every_script() -> None:
    found = only("ключ: {почта: a, 'ящик': [b, c]}\n")
    assert found.place(("ключ", "почта")) == Position(1, 15)
    assert found.place(("ключ", "ящик"), key=True) == Position(1, 18)
    assert found.place(("ключ", "ящик", 1)) == Position(1, 30)
    assert found.place(("ключ", "нет")) == Position(1, 7)
    assert found.at(("ключ", "нет")) is None


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_judged_without_an_exception(data: bytes) -> None:
    parsed = parse(data, "a.yaml")
    assert parsed.manifests or parsed.diagnostics


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "apiVersion: mailcollector/v1\n",
                "kind: ",
                "MailCollector\n",
                "spec:\n",
                "  ",
                "- ",
                "? ",
                ": ",
                "[",
                "]",
                "{",
                "}",
                ",",
                "&a ",
                "*a ",
                "!x ",
                "---\n",
                "...\n",
                "#",
                "'",
                '"',
                "|",
                ">",
                "%YAML 1.2\n",
                "<<: ",
                "\t",
                "\n",
                "name: x\n",
                "010",
                "\\",
            ]
        ),
        max_size=25,
    ).map("".join)
)
def test_any_yaml_like_text_is_judged_without_an_exception(text: str) -> None:
    parsed = parse(text.encode(), "a.yaml")
    assert parsed.manifests or parsed.diagnostics
    lines = text.split("\n")
    assert all(1 <= one.line <= len(lines) + 1 for one in parsed.diagnostics)
