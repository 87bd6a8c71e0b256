"""--help of every verb, and docs/cli.md, which must say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from reconciler.cli import VERBS, commands
from reconciler.cli.common_options import FILES, LOGGING_IN, READING, SESSIONS, TOKENS, CommonOption
from reconciler.cli.verb import Verb
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.routing_answer import Considered, RoutedRecipient, Routing
from reconciler.model.shown_dialogue import ShownDialogue, ShownDialogueLine
from reconciler.model.status import (
    CheckedFolder,
    CheckReport,
    CheckStep,
    Description,
    Failing,
    Parked,
    ShownCollector,
    ShownEvent,
)
from tests.cli import reference
from tests.cli.conftest import Run

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


USED = {
    "run": SESSIONS | TOKENS | {"--trust-proxy", "--metrics"},
    "token": TOKENS,
    **dict.fromkeys(("health", "pause", "resume"), frozenset({"--state-dir"})),
    "collect": SESSIONS,
    "check": LOGGING_IN,
    **dict.fromkeys(("init", "explain", "schema", "completion", "version"), frozenset[str]()),
    **dict.fromkeys(("validate", "add", "edit", "import"), FILES),
}
"""The common options that a verb's help lists: those that it uses."""


def command(name: str) -> Verb:
    found = commands.get_command(click.Context(commands), name)
    assert isinstance(found, Verb)
    return found


def section(title: str) -> str:
    """What docs/cli.md says below a heading."""
    found = re.search(
        rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", DOCUMENTED, re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/cli.md has no section {title}"
    return found[1]


def test_docs_and_manual_page_are_the_commands() -> None:
    assert reference.PAGE.read_text("utf-8") == reference.rendered(DOCUMENTED), (
        "run `python -m tests.cli.reference`"
    )
    assert reference.MANUAL.read_text("utf-8") == reference.manual(), (
        "run `python -m tests.cli.reference`"
    )


@pytest.mark.parametrize("name", VERBS)
def test_verb_has_a_paragraph_examples_and_exit_codes(run: Run, name: str) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0
    verb = command(name)
    assert verb.name == name
    assert "\n\n" not in (verb.help or "\n\n")
    assert verb.examples
    assert {0, 2} <= set(verb.exits)
    for line, what in verb.examples:
        assert line in result.stdout
        assert what in result.stdout
    assert "Exit codes:\n" in result.stdout


@pytest.mark.parametrize("name", VERBS)
def test_examples_are_accepted(name: str) -> None:
    """Parsed, not run."""
    for line, _ in command(name).examples:
        words = line.split("|")[0].split(">")[0].split()
        assert words[:2] == ["mailcollector", name]
        command(name).make_context(name, words[2:])


@pytest.mark.parametrize("name", VERBS)
def test_common_options_follow_every_verb_and_have_a_variable(run: Run, name: str) -> None:
    common = {
        parameter.opts[0]: parameter.envvar
        for parameter in command(name).params
        if isinstance(parameter, CommonOption)
    }

    expected = {
        "--manifests",
        "--state-dir",
        "--state",
        "--listen",
        "--metrics",
        "--log-format",
        "--log-level",
        "--max-sessions",
        "--host-connections",
        "--host-logins-per-minute",
        "--allow-inline-secrets",
        "--support-address",
        "--policy",
        "--token-file",
        "--public-url",
        "--trust-proxy",
    }
    assert set(common) | {"--manifests"} == expected
    shown = " ".join(run(name, "--help").stdout.split())
    for option, variable in common.items():
        assert variable == "MAILCOLLECTOR_" + option[2:].upper().replace("-", "_")
        assert (re.search(rf"\[\${variable}\b(?!_)", shown) is not None) is (
            option in USED.get(name, READING)
        )


def test_help_lists_every_verb(run: Run) -> None:
    printed = run("--help").stdout

    for name, what in VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(what)}$", printed, re.MULTILINE)


@pytest.mark.parametrize("name", VERBS)
def test_docs_tell_every_option_and_exit_code_of_a_verb(name: str) -> None:
    text = section(name)
    verb = command(name)

    own = [
        parameter
        for parameter in verb.params
        if isinstance(parameter, click.Option) and not isinstance(parameter, CommonOption)
    ]
    for option in own:
        assert f"`{', '.join(sorted(option.opts, key=len))}" in text, option.opts
        if isinstance(option.type, click.Choice):
            assert "|".join(option.type.choices) in text
    told = set(re.findall(r"^- `(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))
    assert told == {next(word for word in option.opts if word.startswith("--")) for option in own}
    assert dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)) == {
        str(code): what for code, what in verb.exits.items()
    }
    for line, _ in verb.examples:
        assert line in text


def test_docs_tell_every_common_option() -> None:
    text = section("Common options")
    told = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| `([A-Z_]+)` \|", text, re.MULTILINE))

    assert told == {
        parameter.opts[0]: parameter.envvar
        for parameter in command("run").params
        if isinstance(parameter, CommonOption)
    }


def test_docs_have_no_verb_too_many() -> None:
    headings = re.findall(r"^## (\w+)$", DOCUMENTED, re.MULTILINE)

    assert [heading for heading in headings if heading.islower()] == list(VERBS)


def test_docs_show_the_objects_as_they_are() -> None:
    """Every key of the example is one of the model's, and none is missing."""
    example = re.search(r"```json\n(.*?)```", section("get"), re.DOTALL)
    assert example
    collectors = json.loads(example[1])

    shown = [ShownCollector.model_validate(one) for one in collectors]
    assert [one.model_dump(mode="json", by_alias=True) for one in shown] == collectors


@pytest.mark.parametrize(
    ("verb", "model"),
    [
        ("describe", Description),
        ("describe", Parked),
        ("describe", Failing),
        ("logs", ["name", "sessions", "events"]),
        ("logs", ["name", "sessions", "events", "dialogues"]),
        ("logs", ShownDialogue),
        ("logs", ShownDialogueLine),
        ("describe", ShownEvent),
        ("check", CheckReport),
        ("check", CheckStep),
        ("check", CheckedFolder),
        ("validate", Diagnostic),
        ("clear", ["name", "epoch", "forgotten"]),
        ("collect", ["name", "session", "error"]),
        ("route", Routing),
        ("route", RoutedRecipient),
        ("route", Considered),
    ],
)
def test_docs_tell_the_fields_of_an_object(verb: str, model: Any) -> None:
    fields = (
        [field.alias for field in model.model_fields.values()]
        if hasattr(model, "model_fields")
        else model
        if isinstance(model, list)
        else [field.name for field in msgspec.structs.fields(model)]
    )

    assert f"`{{{', '.join(fields)}}}`" in section(verb)
