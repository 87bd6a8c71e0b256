"""`mailcollector enable`."""

from __future__ import annotations

import click

from reconciler.cli import editing
from reconciler.cli.completion import collector_names
from reconciler.cli.options import READING, common
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "enable",
    examples=[
        ("mailcollector enable sales", "lets sales collect again"),
        ("mailcollector enable sales --git-commit", "the same, committed to git"),
    ],
    exits=editing.EXITS,
)
@click.argument("name", shell_complete=collector_names)
@editing.git_commit
@common(uses=READING)
def command(settings: Settings, name: str, git_commit: bool) -> int:
    """Sets `enabled: true` in the manifest of the collector NAME, so that it collects again.
    Comments, order and quoting of the file stay as they are."""
    return editing.switch(settings, name, enabled=True, git_commit=git_commit)
