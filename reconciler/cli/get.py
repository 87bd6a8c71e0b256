"""`mailcollector get`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.names import unknown
from reconciler.cli.options import common
from reconciler.cli.output import output, plain, structured
from reconciler.cli.reach import Labels, reach
from reconciler.cli.sessions import brief
from reconciler.cli.table import aligned
from reconciler.cli.text import escape, until
from reconciler.cli.verb import complain, verb
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.status import ShownCollector

HEADER = ("NAME", "READY", "STATUS", "PROTOCOL", "ACCOUNT", "MODE", "COLLECTED", "LAST SESSION", "NEXT")
_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}
_RUN_ON = {"InvalidManifest", "ManifestUnreadable", "DirectoryVanished", "Held"}
"""Why something is not as its manifest says, while the last good version of that runs."""
_NAMED = 3
"""So many collectors are named where the same advice is for many."""
_EVERY = 1.0
"""Seconds between two looks of --watch."""


class Label(click.ParamType[tuple[str, str]]):
    """label=value."""

    name = "label=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, wanted = str(value).partition("=")
        if not (key and equals):
            self.fail(f"{value!r} is not of the form label=value", param, ctx)
        return key, wanted


@verb("get", examples=[
    ("mailcollector get", "lists every collector"),
    ("mailcollector get sales info", "lists these two"),
    ("mailcollector get --search почта.рф", "lists those that have it in name, title, host, user, addresses or labels"),
    ("mailcollector get -l team=sales -o name", "prints the names of a team's collectors"),
    ("mailcollector get --watch", "shows the list until Ctrl-C"),
    ("mailcollector get -o json", "prints metadata, spec and status for a program; secrets never appear"),
], exits={0: "listed (also when the list is empty)", 1: "a NAME was not found, or nobody could tell", 2: "usage"})
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--search", metavar="TEXT", default="",
              help="Only those with every word of TEXT, in any script, upper or lower case.")
@click.option("-l", "--label", "labels", type=Label(), metavar="LABEL=VALUE", multiple=True,
              help="Only those with this label; repeated: with all of them.")
@click.option("-w", "--watch", is_flag=True, help="Show it anew when it changes, until Ctrl-C.")
@output
@common()
def command(settings: Settings, names: Sequence[str], search: str, labels: Labels, watch: bool, output: str) -> int:
    """Lists the collectors: whether each is ready, its account, what it has collected, its last session and the next
    one. Asks the daemon; where none runs, the manifests and the ledger are read."""
    def look() -> tuple[list[ShownCollector], list[str]]:
        return _selected(settings, names, search, labels)

    if watch:
        return _watch(look, output)
    shown, missing = look()
    text = _told(shown, output)
    if text:
        click.echo(text)
    elif not missing:
        click.echo("no collectors", err=True)
    for line in missing:
        complain(line)
    return 1 if missing else 0


def _selected(settings: Settings, names: Sequence[str], search: str, labels: Labels) -> tuple[list[ShownCollector],
                                                                                                list[str]]:
    """Those that were asked for, in that order, and a complaint for each name that does not exist."""
    with reach(settings) as collectors:
        shown = collectors.listed(search, labels)
        if not names:
            return shown, []
        known = {collector.metadata.name for collector in (collectors.listed() if search or labels else shown)}
    found = {collector.metadata.name: collector for collector in shown}
    return [found[name] for name in dict.fromkeys(names) if name in found], [str(it) for it in unknown(names, known)]


def _watch(look: Callable[[], tuple[list[ShownCollector], list[str]]], output: str) -> int:
    before = None
    try:
        while True:
            now = look()
            if sys.stdout.isatty():
                click.clear()
                click.echo("\n".join([_told(now[0], output), *now[1]]))
            elif now != before:
                click.echo("\n".join([_told(now[0], output), *now[1]]))
            before = now
            time.sleep(_EVERY)
    except KeyboardInterrupt:
        return 0


def _told(shown: Sequence[ShownCollector], output: str) -> str:
    if output == "name":
        return "\n".join(collector.metadata.name for collector in shown)
    if output == "table":
        return "\n".join([*table(shown, datetime.now(UTC)), *advices(shown)]) if shown else ""
    return structured([plain(collector) for collector in shown], output)


def table(shown: Iterable[ShownCollector], now: datetime) -> list[str]:
    """One line for each collector, below the header."""
    return aligned(HEADER, [_row(collector, now) for collector in shown], paint=_paint)


def advices(shown: Iterable[ShownCollector]) -> list[str]:
    """What can be done about failures, each sentence once, behind the names of those it concerns."""
    names: dict[str, list[str]] = {}
    for collector in shown:
        last = collector.status.last_session
        if last is not None and last.error is not None and last.error.advice:
            names.setdefault(last.error.advice, []).append(collector.metadata.name)
    return [f"{_several(concerned)}: {escape(advice)}" for advice, concerned in names.items()]


def _several(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _row(collector: ShownCollector, now: datetime) -> tuple[str, ...]:
    spec, status = collector.spec, collector.status
    source = spec.get("source", {})
    return (collector.metadata.name, *ready(collector), source.get("protocol", ""),
            "/".join(source[field] for field in ("host", "username") if field in source),
            spec.get("collect", {}).get("mode", ""),
            f"{status.totals.collected:,}", brief(status.last_session, now) if status.last_session else "",
            until(status.next_session, now) if status.next_session else "")


def ready(collector: ShownCollector) -> tuple[str, str]:
    """Whether it is ready, and why (not); where it runs but something is wrong with it, that."""
    found = {condition.type: condition for condition in collector.status.conditions}
    if "Ready" not in found:
        return "Unknown", ""
    verdict, stalled = found["Ready"], found.get("Stalled")
    if stalled is None or stalled.status != "True":
        return verdict.status, verdict.reason
    runs_on = stalled.reason in _RUN_ON and collector.status.loop_started_at is not None
    return verdict.status, f"{stalled.reason}, last good runs" if runs_on else stalled.reason


def _paint(column: int, cell: str) -> str:
    if HEADER[column] == "STATUS" and cell.rstrip().endswith("last good runs"):
        return click.style(cell, fg="yellow")
    if HEADER[column] != "READY":
        return cell
    return click.style(cell, fg=_COLOURS.get(cell.split(maxsplit=1)[0]))
