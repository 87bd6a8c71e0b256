"""`mailcollector clear`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import open_collectors
from reconciler.cli.output_forms import output, serialize
from reconciler.cli.verb import print_error, verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.outcomes import Cleared


@verb(
    "clear",
    examples=[
        ("mailcollector clear sales", "asks, then forgets what sales has collected"),
        ("mailcollector clear sales --yes", "does not ask: for scripts"),
    ],
    exits={
        0: "cleared",
        1: "no such collector, not confirmed, or not possible now",
        2: "usage; without a terminal and without --yes, nothing is forgotten",
    },
)
@click.argument("name", shell_complete=collector_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output
@common_options(uses=READING)
def command(settings: Settings, name: str, yes: bool, output: str) -> int:
    """Forgets what the collector NAME has collected. Every message on the server then counts as new
    and is collected again. Nothing is deleted, neither on the server nor in the mailboxes. Asks
    first, unless --yes is given."""
    with open_collectors(settings) as collectors:
        if not yes:
            remembered = collectors.description(name).history_size
            if not _can_ask():
                print_error(_unconfirmed(name, remembered))
                return 2
            if not _confirmed(name, remembered):
                print_error(f"nothing was forgotten of {name}")
                return 1
        cleared = collectors.clear(name)
    click.echo(_rendered(name, cleared, output))
    return 0


def _unconfirmed(name: str, remembered: int) -> str:
    return (
        f"clear asks before it forgets the {remembered:,} messages that {name} remembers, and "
        "there is no terminal to ask on: nothing was forgotten; to confirm, say "
        f"`mailcollector clear {name} --yes`"
    )


def _confirmed(name: str, remembered: int) -> bool:
    return click.confirm(
        f"Forget the {remembered:,} messages that {name} remembers? What is on the server then "
        "counts as new",
        err=True,
    )


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _rendered(name: str, cleared: Cleared, output: str) -> str:
    if output == "name":
        return name
    if output == "table":
        return (
            f"{name}: {cleared.forgotten:,} messages forgotten; everything on the server "
            "counts as new"
        )
    return serialize({"name": name, "epoch": cleared.epoch, "forgotten": cleared.forgotten}, output)
