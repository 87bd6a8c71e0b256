"""Texts: what a server says cannot act on a terminal, and sizes and times read well."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from ruamel.yaml import YAML

from reconciler.cli.output_forms import table_lines, yaml_text
from reconciler.cli.readable_text import duration, octets, time_since, time_until
from reconciler.model.harmless_text import escape, json_text
from reconciler.model.timestamps import moment
from tests.cli.samples import HOSTILE, NOW

HARMLESS = [
    "",
    "plain",
    "Почта отдела продаж",
    "日本語",
    "שלום",
    "مرحبا",
    "👩\u200d💻",
    "naïve",
    "a: b # c",
]
HARMFUL = [
    HOSTILE,
    "\x00",
    "\x7f",
    "\x9b31m",
    "a\nb",
    "\u2028",
    "\u2066x\u2069",
    "\ufeff",
    "\ud800",
    "\U000e0041",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_every_script_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("text", HARMFUL)
def test_M14_what_acts_on_a_terminal_is_escaped(text: str) -> None:
    assert escape(text).isprintable()
    assert "\x1b" not in escape(text)


@pytest.mark.parametrize("text", HARMLESS + HARMFUL)
def test_M14_json_is_harmless_and_loses_nothing(text: str) -> None:
    written = json_text({"message": text}, indent=None)

    assert json.loads(written) == {"message": text}
    assert written.replace("\u200d", "").isprintable()


@pytest.mark.parametrize(
    "text", HARMLESS + [text for text in HARMFUL if text != "\ud800"] + ["yes", "007", "1e3"]
)
def test_M14_yaml_is_harmless_and_loses_nothing(text: str) -> None:
    written = yaml_text([{"message": text}])

    assert YAML(typ="safe", pure=True).load(written) == [{"message": text}]
    assert written.replace("\u200d", "").replace("\n", "").isprintable()


def test_yaml_keeps_order_and_shape() -> None:
    assert (
        yaml_text([{"b": 1, "a": [True, None], "c": {}}])
        == "- b: 1\n  a:\n  - true\n  - null\n  c: {}\n"
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (999_960, "1.0 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert octets(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"),
        (0.4, "0s"),
        (59, "59s"),
        (60, "1m"),
        (119, "119s"),
        (120, "2m"),
        (3600, "1h"),
        (7199, "119m"),
        (86400, "1d"),
        (200_000, "2d"),
    ],
)
def test_lengths(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_moments() -> None:
    assert time_since(NOW - timedelta(minutes=3), NOW) == "3m ago"
    assert time_until(NOW + timedelta(minutes=3), NOW) == "in 3m"
    assert time_until(NOW - timedelta(minutes=3), NOW) == "now"
    assert moment(NOW) == "2026-11-22 22:40:00Z"


def test_columns_are_as_wide_as_letters_are_on_a_terminal() -> None:
    assert table_lines(("A", "B"), [("日本", "x"), ("ab", ""), ("почта", "y\n")]) == [
        "A      B",
        "日本   x",
        "ab     -",
        "почта  y\\n",
    ]
