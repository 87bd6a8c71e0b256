"""What docs/cli.md says of each verb, and the manual page docs/mailcollector.1: made from the
commands themselves.

`python -m tests.cli.reference` writes them anew. In docs/cli.md what stands behind a verb's
examples stays.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from reconciler.cli import VERBS, commands
from reconciler.cli.common_options import CommonOption
from reconciler.cli.verb import Verb

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "cli.md"
MANUAL = DOCS / "mailcollector.1"
_GENERATED = re.compile(r"\A\n`mailcollector .*?^```\n.*?^```\n", re.MULTILINE | re.DOTALL)


def verb(name: str) -> Verb:
    found = commands.get_command(click.Context(commands), name)
    assert isinstance(found, Verb)
    return found


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120)


def rendered(page: str) -> str:
    """The page with every verb as it is, in the order of `--help`."""
    before, *sections = re.split(r"^## (?=[a-z0-9]+$)", page, flags=re.MULTILINE)
    tails = {
        name: _GENERATED.sub("", rest)
        for name, _, rest in (text.partition("\n") for text in sections)
    }
    return (
        before
        + "".join(
            f"## {name}\n{_section(verb(name))}{tails.get(name) or chr(10)}" for name in VERBS
        ).rstrip("\n")
        + "\n"
    )


def _section(command: Verb) -> str:
    options = "".join(
        f"{line}\n"
        for option in _own(command)
        for line in textwrap.wrap(
            f"- `{_spelled(option)}`: {option.help}",
            120,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    )
    exits = "".join(f"| {code} | {what} |\n" for code, what in sorted(command.exits.items()))
    examples = "".join(f"{line}\n    # {what}\n" for line, what in command.examples)
    return (
        f"\n`{_synopsis(command)}`\n\n{_paragraph(command.help or '')}\n\n"
        f"{options}{chr(10) if options else ''}| exit | when "
        f"|\n|---|---|\n{exits}\n```\n{examples}```\n"
    )


def _synopsis(command: Verb) -> str:
    arguments = [
        parameter.make_metavar(click.Context(command))
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    return " ".join(
        ["mailcollector", str(command.name), *(argument.strip("{}") for argument in arguments)]
    )


def _own(command: Verb) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not isinstance(parameter, CommonOption):
            yield parameter


def _spelled(option: click.Option) -> str:
    """-o, --output text|json"""
    value = (
        "|".join(option.type.choices)
        if isinstance(option.type, click.Choice)
        else ""
        if option.is_flag
        else option.metavar or option.type.name.upper()
    )
    return " ".join(filter(None, [", ".join(sorted(option.opts, key=len)), value]))


# -- the manual page


def manual() -> str:
    """In man(7)'s macros."""
    common = [parameter for parameter in verb("run").params if isinstance(parameter, CommonOption)]
    lines = [
        ".TH MAILCOLLECTOR 1",
        ".SH NAME",
        "mailcollector \\- collect mail from POP3 and IMAP accounts as declared",
        ".SH SYNOPSIS",
        ".B mailcollector",
        ".I VERB",
        "[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...",
        ".SH DESCRIPTION",
        *_text(commands.help or ""),
        ".PP",
        *_text("mailcollector VERB --help tells a verb's options, examples and exit codes."),
        ".SH VERBS",
    ]
    for name in VERBS:
        command = verb(name)
        lines += [
            ".SS " + _escaped(_synopsis(command).removeprefix("mailcollector ")),
            *_text(command.help or ""),
        ]
        for option in _own(command):
            lines += [".TP", f"\\fB{_escaped(_spelled(option))}\\fR", *_text(option.help or "")]
        lines += [
            ".PP",
            "Exit codes:",
            *(f".br\n{code}: {_escaped(what)}" for code, what in sorted(command.exits.items())),
        ]
    lines += [".SH COMMON OPTIONS", *_text("Every verb takes these, after its name.")]
    for option in common:
        lines += [
            ".TP",
            f"\\fB{_escaped(_spelled(option))}\\fR",
            *_text(f"{option.help} [{option.envvar}]"),
        ]
    lines += [".SH FILES"]
    for path, what in (
        ("./collectors.d", "the manifests"),
        ("./state", "the ledger, the control socket and mail that has no Destination"),
    ):
        lines += [".TP", f".I {path}", what]
    lines += [".SH EXAMPLES"]
    for line, what in (
        example
        for name in ("init", "add", "run", "get", "validate")
        for example in verb(name).examples[:2]
    ):
        lines += [".TP", f".B {_escaped(line)}", *_text(what)]
    return "\n".join(lines) + "\n"


def _text(text: str) -> list[str]:
    return [
        _escaped(line)
        for line in textwrap.wrap(" ".join(text.split()), 100, break_on_hyphens=False)
    ]


def _escaped(text: str) -> str:
    """No request at the beginning of a line, and hyphens that can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), encoding="utf-8")
    MANUAL.write_text(manual(), encoding="utf-8")
