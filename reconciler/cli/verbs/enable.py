"""`mailcollector enable`."""

from __future__ import annotations

import click

from reconciler.cli import manifest_changes
from reconciler.cli.common_options import READING, common_options
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.settings import Settings


@verb(
    "enable",
    examples=[
        ("mailcollector enable sales", "lets sales collect again"),
        ("mailcollector enable sales --git-commit", "the same, committed to git"),
    ],
    exits=manifest_changes.EXITS,
)
@click.argument("name", shell_complete=collector_names)
@manifest_changes.git_commit
@common_options(uses=READING)
def command(settings: Settings, name: str, git_commit: bool) -> int:
    """Sets `enabled: true` in the manifest of the collector NAME, so that it collects again.
    Comments, order and quoting of the file stay as they are."""
    return manifest_changes.set_enabled(settings, name, enabled=True, git_commit=git_commit)
