"""`mailcollector check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.common_options import LOGGING_IN, common_options
from reconciler.cli.connect import open_collectors
from reconciler.cli.output_forms import json_data, output, serialize, table_lines
from reconciler.cli.readable_text import octets
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.status import CheckReport


@verb(
    "check",
    examples=[
        (
            "mailcollector check sales",
            "tells whether sales can collect, and what a first session would do",
        ),
        ("mailcollector check sales -o json", "the same for a program"),
    ],
    exits={0: "a session could run", 1: "it could not, or there is no such collector", 2: "usage"},
)
@click.argument("name", shell_complete=collector_names)
@click.option(
    "--force",
    is_flag=True,
    help="Also where the server refused the login and nothing has changed since.",
)
@output
@common_options(uses=LOGGING_IN)
def command(settings: Settings, name: str, force: bool, output: str) -> int:
    """Connects to the server of the collector NAME, logs in, counts the messages, checks the
    destination, and says what a first session would do. Nothing is collected and nothing is
    changed. As with collect, a refused login is not repeated, and a server that asked for a pause
    is left alone. What a check learns of that also counts for sessions."""
    with open_collectors(settings) as collectors:
        report = collectors.check(name, force=force)
    click.echo(_rendered(report, output))
    return 0 if report.ok else 1


def _rendered(report: CheckReport, output: str) -> str:
    if output == "name":
        return report.name
    if output == "table":
        return "\n".join(report_lines(report))
    return serialize(json_data(report), output)


def report_lines(report: CheckReport) -> list[str]:
    """Return the report in lines for a terminal."""
    lines = [f"{report.name}: {'ready to collect' if report.ok else 'cannot collect'}"]
    lines += [
        f"  {'ok    ' if step.ok else 'FAILED'}  {escape(step.step)}: {escape(step.message)}"
        for step in report.steps
    ]
    if report.folders:
        lines += table_lines(
            ("FOLDER", "MESSAGES", "SIZE", "NEW", "SKIPPED"),
            [
                (
                    folder.name,
                    f"{folder.messages:,}",
                    octets(folder.bytes),
                    f"{folder.new:,}",
                    f"{folder.skipped:,}",
                )
                for folder in report.folders
            ],
            indent="  ",
        )
    if report.error:
        lines.append(f"  {escape(report.error.reason)}: {escape(report.error.message)}")
    if report.first_session:
        lines.append(f"  First session: {escape(report.first_session)}")
    return lines + [f"  Note: {escape(note)}" for note in report.notes]
