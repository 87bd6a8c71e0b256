"""`mailcollector fsck`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from msgspec.structs import asdict

from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import manifests_directory
from reconciler.cli.verb import verb
from reconciler.model.harmless_text import escape, json_text
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.fsck_findings import FsckFinding


@verb(
    "fsck",
    failure=2,
    examples=[
        (
            "mailcollector fsck",
            "compares the ledger in ./state with ./collectors.d and the Maildirs, changes nothing",
        ),
        ("mailcollector fsck --mend", "also fixes what is safe to fix"),
        ("mailcollector fsck -o json", "the same as the first for a program"),
    ],
    exits={
        0: "in order, or fixed",
        1: "something is wrong, and was not fixed",
        2: "could not look: a daemon runs, there is no ledger or it cannot be read; usage",
    },
)
@click.option("--mend", "fix", is_flag=True, help="Fix what is safe to fix.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the findings are printed.",
)
@common_options(uses=READING)
def command(settings: Settings, fix: bool, output: str) -> int:
    """Checks that the ledger is intact, and compares it with the Maildirs and the manifests. It
    reports temporary files that crashes left, damaged mail, mail that is recorded but not found,
    and histories of collectors that no manifest declares. With --mend it removes such temporary
    files and lets such histories expire. Mail that is not found is only reported, because mail
    programs move and delete mail. Stop the daemon first: fsck needs the state directory for
    itself."""
    directory = manifests_directory(settings)
    from reconciler.app import without_daemon  # noqa: PLC0415  # not needed for --help

    findings = without_daemon.fsck(settings, directory, fix=fix)
    click.echo(
        json_text([asdict(found) for found in findings]) if output == "json" else _text(findings)
    )
    return 1 if any(found.open for found in findings) else 0


def _text(findings: Sequence[FsckFinding]) -> str:
    lines = [escape(_line(found)) for found in findings]
    open_ones = sum(found.open for found in findings)
    fixable = sum(found.open and found.mendable for found in findings)
    if not open_ones:
        return "\n".join([*lines, "in order"])
    remedy = f", {fixable} of them --mend fixes" if fixable else ""
    return "\n".join([*lines, f"{open_ones} to look at{remedy}"])


def _line(found: FsckFinding) -> str:
    count = f" ({found.count:,})" if found.count > 1 else ""
    return (
        f"{'mended' if found.mended else found.severity}: {found.rule}: "
        f"{found.subject}{count}: {found.message}"
    )
