"""`mailcollector logs`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.collector_summary import error_text, session_counters
from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import open_collectors, warn_without_daemon
from reconciler.cli.output_forms import json_data, output, serialize
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings
from reconciler.model.timestamps import moment

if TYPE_CHECKING:
    from reconciler.model.shown_dialogue import ShownDialogue
    from reconciler.model.status import Description, ShownEvent, ShownSession


@verb(
    "logs",
    examples=[
        ("mailcollector logs sales", "tells how the last sessions of sales went"),
        (
            "mailcollector logs sales --protocol",
            "tells what was said on the wire, without passwords and without messages",
        ),
        ("mailcollector logs sales --protocol -o json", "the same for a program"),
    ],
    exits={0: "told", 1: "no such collector, or nobody could tell", 2: "usage"},
)
@click.argument("name", shell_complete=collector_names)
@click.option(
    "--protocol",
    is_flag=True,
    help="Tell what was said on the wire in the last sessions and checks, and so far in those that "
    "run. Passwords, tokens and whole logins are left out, and so are messages.",
)
@output
@common_options(uses=READING)
def command(settings: Settings, name: str, output: str, *, protocol: bool) -> int:
    """Shows the last sessions of the collector NAME, the newest last: when each began, how it
    ended, its figures and its error. Then what happened to the collector since the daemon
    started."""
    with open_collectors(settings) as collectors:
        description = collectors.description(name)
        dialogues = collectors.dialogues(name) if protocol else ()
        warn_without_daemon(settings, collectors)
    if output == "name":
        click.echo(name)
    elif output != "table":
        click.echo(serialize(_data(description, dialogues, protocol=protocol), output))
    elif protocol:
        click.echo(_dialogue_lines(dialogues), nl=False)
    else:
        click.echo("\n".join(log_lines(description)))
    return 0


def log_lines(description: Description) -> list[str]:
    """Return the sessions and the events as lines."""
    sessions = [line for one in description.sessions[::-1] for line in _session(one)]
    events = [_event(one) for one in description.events[::-1]]
    return [
        "Sessions:",
        *(sessions or ["  none yet"]),
        *(["Since the daemon started:", *events] if events else []),
    ]


def _session(session: ShownSession) -> Iterator[str]:
    yield f"  {moment(session.started_at)}  {session.outcome}: {session_counters(session)}"
    if session.error:
        yield f"      {error_text(session.error)}"
    yield from (f"      {escape(note)}" for note in session.notes)


def _event(event: ShownEvent) -> str:
    count = f" {event.count:,}" if event.count else ""
    reason = f": {escape(event.reason)}" if event.reason else ""
    times = f" ({event.times:,} times)" if event.times > 1 else ""
    return f"  {moment(event.at)}  {event.what}{count}{reason}{times}"


def _dialogue_lines(dialogues: Sequence[ShownDialogue]) -> str:
    from reconciler.model.shown_dialogue import dialogue_text  # noqa: PLC0415  # pydantic is slow

    return dialogue_text(dialogues) or (
        "Nothing is kept of what was said: there was no session since the daemon started, and "
        "none failed before.\n"
    )


def _data(
    description: Description, dialogues: Sequence[ShownDialogue], *, protocol: bool
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": description.collector.metadata.name,
        "sessions": [json_data(one) for one in description.sessions],
        "events": [json_data(one) for one in description.events],
    }
    return {**data, "dialogues": [json_data(one) for one in dialogues]} if protocol else data
