"""`mailcollector version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.output_forms import serialize
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "version",
    examples=[
        ("mailcollector version", "prints the version of the program"),
        ("mailcollector version -o json", "the same for a program, with that of Python"),
    ],
    exits={0: "printed", 2: "usage"},
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@common_options(uses=())
def command(_: Settings, output: str) -> int:
    """Prints the version of this program."""
    version = metadata.version("mailcollector")
    found = {"version": version, "python": platform.python_version(), "schema": "mailcollector/v1"}
    click.echo(f"mailcollector {version}" if output == "text" else serialize(found, output))
    return 0
