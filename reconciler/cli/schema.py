"""`mailcollector schema`."""

from __future__ import annotations

import click

from reconciler.cli.options import common
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb("schema", examples=[
    ("mailcollector schema > mailcollector.v1.json", "writes the schema to a file"),
    ("mailcollector schema | head", "shows how it begins"),
], exits={0: "printed", 2: "usage"})
@common(manifests=False)
def command(_: Settings) -> int:
    """Prints the JSON Schema of the manifests, the one that `validate` checks them against. Editors that understand
    YAML use it to complete and check manifests while they are written, where their first line is
    `# yaml-language-server: $schema=FILE`."""
    from reconciler.manifests.schema import text  # noqa: PLC0415  # --help does without

    click.echo(text(), nl=False)
    return 0
