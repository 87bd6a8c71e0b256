"""`mailcollector describe`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reconciler.cli.collector_summary import (
    declared_fields,
    destination_away_text,
    error_text,
    host_away_text,
)
from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import open_collectors, warn_without_daemon
from reconciler.cli.output_forms import json_data, output, serialize, table_lines
from reconciler.cli.readable_text import octets, time_since, time_until
from reconciler.cli.verb import verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings
from reconciler.model.timestamps import moment

if TYPE_CHECKING:
    from reconciler.model.status import Description, ShownSession, Status

_WIDTH = 15


@verb(
    "describe",
    examples=[
        (
            "mailcollector describe sales",
            "tells how sales is declared, how it fares, and what waits",
        ),
        ("mailcollector describe sales -o json", "the same for a program"),
    ],
    exits={0: "told", 1: "no such collector, or nobody could tell", 2: "usage"},
)
@click.argument("name", shell_complete=collector_names)
@output
@common_options(uses=READING)
def command(settings: Settings, name: str, output: str) -> int:
    """Shows everything about the collector NAME: what is declared, its conditions, the last error
    and the next attempt, the last sessions, what it has collected in all, and how much its history
    remembers. Also lists the messages that failed, with what happens to them next, and those that
    are parked."""
    with open_collectors(settings) as collectors:
        description = collectors.description(name)
        warn_without_daemon(settings, collectors)
    if output == "name":
        click.echo(description.collector.metadata.name)
    elif output == "table":
        click.echo("\n".join(description_lines(description, datetime.now(UTC))))
    else:
        click.echo(serialize(json_data(description), output))
    return 0


def description_lines(description: Description, now: datetime) -> list[str]:
    """Return the description in lines for a terminal."""
    return [
        *_fields(description, now),
        *_conditions(description.collector.status, now),
        *_sessions(description),
        *_failing(description, now),
        *_parked(description, now),
    ]


def _fields(description: Description, now: datetime) -> Iterator[str]:
    collector = description.collector
    yield _field("Name", collector.metadata.name)
    yield _field("Manifest", description.source or "none: it is declared no longer")
    if collector.metadata.labels:
        yield _field(
            "Labels",
            ", ".join(f"{key}={value}" for key, value in collector.metadata.labels.items()),
        )
    for name, value in declared_fields(collector.spec):
        yield _field(name, value)
    yield from _status(collector.status, now)
    for alert in description.alerts:
        yield _field("Alert", f"{alert.text} (the server, {time_since(alert.at, now)})")
    yield _field(
        "History", f"{description.history_size:,} messages remembered, epoch {description.epoch}"
    )
    if description.due_deletions:
        yield _field(
            "Due deletions",
            f"{description.due_deletions:,} collected messages are still on the server; the next "
            "session deletes them there",
        )


def _status(status: Status, now: datetime) -> Iterator[str]:
    revision = f", revision {status.revision}" if status.revision else ""
    yield _field(
        "Generation", f"{status.generation}, observed {status.observed_generation}{revision}"
    )
    if status.loop_started_at:
        yield _field("Running since", moment(status.loop_started_at))
    if status.last_session and status.last_session.error:
        yield _field("Last error", error_text(status.last_session.error))
    for note in status.last_session.notes if status.last_session else ():
        yield _field("Note", note)
    if away := status.host_away:
        yield _field("Host away", f"{host_away_text(away, now)}: {away.message}")
    if closed := status.destination_away:
        yield _field("Dest. away", f"{destination_away_text(closed, now)}: {closed.message}")
    if status.next_session:
        yield _field(
            "Next session",
            f"{time_until(status.next_session, now)} ({moment(status.next_session)})",
        )
    totals = status.totals
    yield _field(
        "Totals",
        f"{totals.sessions:,} sessions, {totals.collected:,} collected, {totals.failed:,} failed, "
        f"{totals.deleted:,} deleted, {octets(totals.bytes)}",
    )


def _field(name: str, value: str) -> str:
    return f"{name + ':':<{_WIDTH}}{escape(value)}"


def _conditions(status: Status, now: datetime) -> list[str]:
    if not status.conditions:
        return []
    rows = [
        (
            condition.type,
            condition.status,
            condition.reason,
            time_since(condition.last_transition_time, now),
            condition.message,
        )
        for condition in status.conditions
    ]
    return [
        "Conditions:",
        *table_lines(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows, indent="  "),
    ]


def _sessions(description: Description) -> list[str]:
    if not description.sessions:
        return ["Sessions:      none yet"]
    header = (
        "STARTED",
        "TOOK",
        "OUTCOME",
        "LISTED",
        "COLLECTED",
        "SKIPPED",
        "PARKED",
        "FAILED",
        "LEFT",
        "DELETED",
        "SIZE",
        "ERROR",
    )
    return ["Sessions:", *table_lines(header, map(_session, description.sessions), indent="  ")]


def _session(session: ShownSession) -> tuple[str, ...]:
    counters = (
        session.listed,
        session.collected,
        session.skipped,
        session.parked,
        session.failed,
        session.left,
        session.deleted,
    )
    took = (
        (session.finished_at - session.started_at).total_seconds() if session.finished_at else None
    )
    return (
        moment(session.started_at),
        "" if took is None else f"{took:.1f} s",
        session.outcome,
        *(f"{count:,}" for count in counters),
        octets(session.bytes),
        session.error.reason if session.error else "",
    )


def _failing(description: Description, now: datetime) -> list[str]:
    if not description.failing:
        return []
    rows = [
        (
            message.folder,
            message.key,
            "" if message.size is None else octets(message.size),
            f"{message.attempts:,}",
            time_since(message.last_attempt, now),
            message.next,
            message.reason,
        )
        for message in description.failing
    ]
    return [
        "Failed messages:",
        *table_lines(
            ("FOLDER", "KEY", "SIZE", "ATTEMPTS", "LAST", "NEXT", "REASON"), rows, indent="  "
        ),
    ]


def _parked(description: Description, now: datetime) -> list[str]:
    if not description.parked:
        return []
    rows = [
        (
            message.folder,
            message.key,
            "" if message.size is None else octets(message.size),
            time_since(message.since, now),
            message.reason,
        )
        for message in description.parked
    ]
    return [
        "Parked messages:",
        *table_lines(("FOLDER", "KEY", "SIZE", "SINCE", "REASON"), rows, indent="  "),
    ]
