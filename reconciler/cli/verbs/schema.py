"""`mailcollector schema`."""

from __future__ import annotations

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "schema",
    examples=[
        ("mailcollector schema > mailcollector.v1.json", "writes the schema to a file"),
        ("mailcollector schema --plain > plain.json", "the same without what is for editors alone"),
    ],
    exits={0: "printed", 2: "usage"},
)
@click.option(
    "--plain",
    is_flag=True,
    help="Without the keywords of editors, which strict validators do not know.",
)
@common_options(manifests=False, uses=())
def command(_: Settings, plain: bool) -> int:
    """Prints the JSON Schema of the manifests, against which `validate` checks them. Editors that
    understand YAML use it to complete and check manifests while you type, if a comment in each
    document says `# yaml-language-server: $schema=FILE`."""
    from reconciler.manifests.schema_export.json_schema import plain_text, text  # noqa: PLC0415  # not needed for --help

    click.echo(plain_text() if plain else text(), nl=False)
    return 0
