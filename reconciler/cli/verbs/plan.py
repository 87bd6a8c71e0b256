"""`mailcollector plan`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import MANIFESTS, running_daemon
from reconciler.cli.output_forms import output, serialize
from reconciler.cli.readable_text import print_message
from reconciler.cli.verb import verb
from reconciler.model.harmless_text import escape, json_text
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.control.offline_views import Proposal
    from reconciler.planning.field_changes import FieldChange
    from reconciler.planning.reconcile_plan import Step

_SIGNS = {
    "Start": ("+", "green"),
    "Replace": ("~", "yellow"),
    "Stop": ("-", "red"),
    "Hold": ("!", "magenta"),
    "Keep": ("=", None),
}
_UNREMARKABLE = {"unchanged", "disabled"}
"""Reasons of unchanged collectors that the plan does not show."""


@verb(
    "plan",
    failure=2,
    examples=[
        ("mailcollector plan", "shows what is not yet as declared: what is held back, and why"),
        (
            "mailcollector plan ../change/collectors.d",
            "shows what that checkout would change where the daemon runs",
        ),
        ("mailcollector plan collectors.d -o json", "the same for a program, with every step"),
    ],
    exits={
        0: "nothing would change",
        1: "something would change",
        2: "a manifest is invalid, nobody could tell, or usage",
    },
)
@click.argument(
    "directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path)
)
@output
@common_options(uses=READING)
def command(settings: Settings, directory: Path | None, output: str) -> int:
    """Shows what `run` would start, replace, stop or hold back if the manifests were those in DIR,
    field by field, and what that means for the mail. Changes nothing. DIR is treated as if it stood
    in place of the running daemon's directory. If no daemon runs, it is compared with what the
    ledger records as last good, and treated as if it stood at --manifests."""
    from reconciler.app import without_daemon  # noqa: PLC0415  # much code, not needed for --help

    with contextlib.ExitStack() as opened:
        daemon = running_daemon(settings)
        if daemon is not None:
            opened.enter_context(daemon)
        place = daemon.manifests() if daemon else settings.manifests or directory or MANIFESTS
        now = daemon.in_force() if daemon else None
        proposal = without_daemon.proposal(settings, directory or place, place, now)
    text = _rendered(proposal, output)
    if text:
        click.echo(text)
    errors = [found for found in proposal.diagnostics if found.is_error]
    for found in errors:
        print_message(
            escape(
                f"{found.file}:{found.line}:{found.column}: error: {found.message} [{found.rule}]"
            )
        )
    return 2 if errors else 1 if proposal.plan.changes else 0


def _rendered(proposal: Proposal, output: str) -> str:
    if output == "name":
        return "\n".join(step.name for step in proposal.plan.changes)
    if output == "table":
        return "\n".join(plan_lines(proposal, _history_ends()))
    return serialize(_plain(proposal), output)


def _history_ends() -> datetime:
    """Return when the history of a collector that is removed now ends."""
    from reconciler.model.history import KEPT  # noqa: PLC0415  # not needed for --help

    return datetime.now(UTC) + KEPT


def _plain(proposal: Proposal) -> dict[str, Any]:
    # not needed for --help
    from reconciler.planning.plan_report import plan_as_data  # noqa: PLC0415

    return {
        **plan_as_data(proposal.plan, proposal.remembered, _history_ends()),
        "diagnostics": [found.as_json() for found in proposal.diagnostics],
    }


def plan_lines(proposal: Proposal, until: datetime) -> list[str]:
    """Return the plan in lines for a terminal. `until`: when the history of a collector that is
    removed now ends."""
    lines: list[str] = []
    for step in proposal.plan.steps:
        if type(step).__name__ != "Keep" or step.reason not in _UNREMARKABLE:
            lines += _step(step, proposal, until)
    counts = proposal.plan.count()
    words = [
        ("to start", "Start"),
        ("to replace", "Replace"),
        ("to stop", "Stop"),
        ("held", "Hold"),
        ("to keep", "Keep"),
    ]
    found = [f"{counts[sort]:,} {word}" for word, sort in words if sort in counts]
    return [*lines, f"Plan: {', '.join(found) or 'no collectors'}"]


def _step(step: Step, proposal: Proposal, until: datetime) -> Iterator[str]:
    # not needed for --help
    from reconciler.planning.plan_report import fields_of, meaning_of  # noqa: PLC0415

    sort = type(step).__name__
    sign, colour = _SIGNS[sort]
    yield (
        click.style(f"{sign} {sort.lower()} {escape(step.name)}", fg=colour, bold=True)
        + f": {escape(step.reason)}"
    )
    for change in fields_of(step):
        yield from (f"    {line}" for line in _change(change))
    for sentence in meaning_of(step, proposal.remembered, until):
        yield f"    {click.style('!', fg='magenta')} {sentence}"


def _change(change: FieldChange) -> Iterator[str]:
    if change.before is not None:
        yield click.style(f"- {escape(change.field)}: {_value(change.before)}", fg="red")
    if change.after is not None:
        yield click.style(f"+ {escape(change.field)}: {_value(change.after)}", fg="green")


def _value(value: Any) -> str:
    return escape(value) if isinstance(value, str) else json_text(value, indent=None)
