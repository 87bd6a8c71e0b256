"""`mailcollector validate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from reconciler.cli.common_options import FILES, common_options
from reconciler.cli.connect import manifests_directory
from reconciler.cli.verb import verb
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings


@verb(
    "validate",
    failure=2,
    examples=[
        ("mailcollector validate", "checks the running daemon's manifests, else ./collectors.d"),
        ("mailcollector validate collectors.d/sales.yaml", "checks one file"),
        ("mailcollector validate collectors.d --output github", "annotates a pull request"),
        (
            "mailcollector validate collectors.d --output sarif > validate.sarif",
            "for code scanning",
        ),
        ("mailcollector validate collectors.d --strict", "fails at warnings too"),
        ("mailcollector validate -", "checks what comes on standard input"),
    ],
    exits={
        0: "no error; there may be warnings, unless --strict",
        1: "errors; with --strict also warnings",
        2: "usage; a PATH does not exist",
    },
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "github", "gitlab", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="How diagnostics are printed; github: as workflow commands, gitlab: as Code Quality.",
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@common_options(uses=FILES)
def command(settings: Settings, paths: Sequence[Path], output: str, strict: bool) -> int:
    """Checks manifests and reports every error of every file in one run, each with its file, line
    and column and how to fix it. Opens no secret, no CA file and no connection. PATH is a file, `-`
    for standard input, or a directory, which is read recursively. Without PATH, the running
    daemon's directory is checked, or else ./collectors.d."""
    from reconciler.manifests.reports import report_formats  # noqa: PLC0415  # not needed for --help
    from reconciler.manifests.validation import NoSuchPath, validate  # noqa: PLC0415

    try:
        validation = validate(
            paths or [manifests_directory(settings)],
            allow_inline_secrets=settings.allow_inline_secrets,
        )
    except NoSuchPath as error:
        raise click.UsageError(escape(str(error))) from error
    if output == "text":
        click.echo(
            report_formats.text(validation, colour=True), nl=False
        )  # click takes the colours out of a pipe
    else:
        click.echo(report_formats.REPORTERS[output](validation), nl=False)
    return 1 if validation.failed or (strict and validation.warned) else 0
