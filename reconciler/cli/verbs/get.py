"""`mailcollector get`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.collector_list import (
    FORMS,
    Form,
    Renderer,
    SortField,
    SortKey,
    renderer,
    sort_collectors,
)
from reconciler.cli.collectors import unknown_collectors
from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import open_collectors, warn_without_daemon
from reconciler.cli.readable_text import plain_terminal, print_message
from reconciler.cli.verb import print_error, verb
from reconciler.cli.verbs.completion import LabelSelector, collector_names
from reconciler.model.selectors import EVERYTHING, Selector
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.model.status import ShownCollector

_EVERY = 1.0
"""Seconds between two looks of --watch."""
Observation = tuple[list["ShownCollector"], list[str]]


@verb(
    "get",
    examples=[
        ("mailcollector get", "lists every collector"),
        ("mailcollector get sales info", "lists these two"),
        (
            "mailcollector get --search почта.рф",
            "lists those that have it in name, title, host, user, addresses or labels",
        ),
        ("mailcollector get -l team=sales -o name", "prints the names of a team's collectors"),
        (
            "mailcollector get -l 'team in (sales,support),!old' -o wide",
            "shows more of those that the selector selects",
        ),
        (
            "mailcollector get --sort-by collected --no-headers",
            "for other programs: in order, without the first line",
        ),
        (
            "mailcollector get sales -o jsonpath='{.status.lastSession.error.reason}'",
            "prints one value",
        ),
        (
            "mailcollector get -o custom-columns=NAME:.metadata.name,HOST:.spec.source.host",
            "makes a table of one's own",
        ),
        ("mailcollector get --watch", "shows the list until Ctrl-C"),
        (
            "mailcollector get -o json",
            "prints metadata, spec and status for a program; secrets never appear",
        ),
    ],
    exits={
        0: "listed (also when the list is empty)",
        1: "a NAME was not found, or nobody could tell",
        2: "usage",
    },
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=collector_names)
@click.option(
    "--search",
    metavar="TEXT",
    default="",
    help="Only those with every word of TEXT, in any script, upper or lower case.",
)
@click.option(
    "-l",
    "--label",
    "--selector",
    "selectors",
    type=LabelSelector(),
    metavar="SELECTOR",
    multiple=True,
    help="Only those whose labels are so: team=sales, team!=sales, team in (sales,support), "
    "team notin "
    "(sales), team, !team; a comma means and. Repeated: all of them.",
)
@click.option("-w", "--watch", is_flag=True, help="Show it anew when it changes, until Ctrl-C.")
@click.option(
    "--sort-by",
    "key",
    type=SortKey(),
    metavar="FIELD",
    help="In order of this: a column such as collected, or a path such as "
    ".status.totals.collected.",
)
@click.option("--no-headers", is_flag=True, help="Tables without their first line.")
@click.option(
    "-o",
    "--output",
    type=Form(),
    metavar="|".join(FORMS),
    default="table",
    show_default=True,
    help="How the result is printed; jsonpath and custom-columns are kubectl's.",
)
@common_options(uses=READING)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    settings: Settings,
    names: Sequence[str],
    search: str,
    selectors: Sequence[Selector],
    watch: bool,
    key: SortField | None,
    no_headers: bool,
    output: str,
) -> int:
    """Lists the collectors: whether each is ready, its account, what it has collected, its last
    session and the next one. Asks the daemon; if none runs, get reads the manifests and the
    ledger."""
    wanted = EVERYTHING
    for one in selectors:
        wanted &= one
    render = renderer(output, headers=not no_headers)
    explained: list[bool] = []

    def look() -> Observation:
        found, missing = _selected(settings, names, search, wanted, explained)
        return sort_collectors(found, key) if key else found, missing

    if watch:
        return _watch(look, render, one=len(names) == 1)
    shown, missing = look()
    text = render(shown, len(names) == 1)
    if text:
        click.echo(text, nl=not text.endswith("\n"))  # a template says itself where a line ends
    elif not missing and not shown:
        print_message("no collectors")
    for line in missing:
        print_error(line)
    return 1 if missing else 0


def _selected(
    settings: Settings, names: Sequence[str], search: str, wanted: Selector, explained: list[bool]
) -> Observation:
    """Return the collectors that were asked for, in that order, and an error text for each name
    that does not exist. `explained` is empty until the source of the list was printed."""
    with open_collectors(settings) as collectors:
        shown = collectors.listed(search, wanted)
        known = {
            one.metadata.name
            for one in (collectors.listed() if names and (search or wanted.text) else shown)
        }
        missing = [str(it) for it in unknown_collectors(names, known)]
        if not (explained or missing):
            warn_without_daemon(settings, collectors)
            explained.append(True)
    found = {collector.metadata.name: collector for collector in shown}
    return [found[name] for name in dict.fromkeys(names or found) if name in found], missing


def _watch(look: Callable[[], Observation], render: Renderer, *, one: bool) -> int:
    before = None
    try:
        while True:
            now = look()
            whole = sys.stdout.isatty() and not plain_terminal()
            if whole:
                click.clear()
            if whole or now != before:
                click.echo("\n".join([render(now[0], one), *now[1]]))
            before = now
            time.sleep(_EVERY)
    except KeyboardInterrupt:
        return 0
