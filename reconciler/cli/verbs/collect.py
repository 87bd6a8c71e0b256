"""`mailcollector collect`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.collector_summary import error_text, is_success, session_counters
from reconciler.cli.collectors import Collectors, CollectOutcome, unknown_collectors
from reconciler.cli.common_options import SESSIONS, common_options
from reconciler.cli.connect import open_collectors
from reconciler.cli.output_forms import json_data, output, serialize
from reconciler.cli.readable_text import print_message, time_until
from reconciler.cli.session_progress import progress
from reconciler.cli.verb import print_error, verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.model.errors import CollectorError
from reconciler.model.settings import Settings
from reconciler.model.timestamps import moment

if TYPE_CHECKING:
    from reconciler.model.status import ShownCollector


@verb(
    "collect",
    examples=[
        ("mailcollector collect sales", "asks the daemon to collect now"),
        (
            "mailcollector collect sales info --wait",
            "shows the progress of both and what came of it",
        ),
        ("mailcollector collect --all --wait", "collects every enabled collector"),
        ("mailcollector collect sales --force --wait", "tries a refused login again"),
        ("mailcollector collect sales --retry-parked --wait", "tries what is parked again, too"),
        (
            "mailcollector collect --all --accept-maildirs --wait",
            "after the Maildirs were moved on purpose",
        ),
    ],
    exits={
        0: "collected, or without --wait: asked for",
        1: "a collector failed, or a NAME was not found (then nothing was collected)",
        2: "usage",
    },
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=collector_names)
@click.option("--all", "every", is_flag=True, help="Every enabled collector.")
@click.option("--wait", is_flag=True, help="Show progress, wait for the end, and tell the outcome.")
@click.option(
    "--force",
    is_flag=True,
    help="Also where the server refused the login and nothing has changed since.",
)
@click.option("--retry-parked", is_flag=True, help="Try parked messages again as well.")
@click.option(
    "--accept-maildirs",
    is_flag=True,
    help="The Maildirs are meant to be on the file systems that they are on now.",
)
@output
@common_options(uses=SESSIONS)
def command(  # noqa: PLR0913, PLR0917  # one for each option
    settings: Settings,
    names: Sequence[str],
    every: bool,
    wait: bool,
    force: bool,
    retry_parked: bool,
    accept_maildirs: bool,
    output: str,
) -> int:
    """Collects mail now: one session of each NAME, whatever its interval, and even if it waits
    after a network failure. A server that asked for fewer requests is still left alone for as long
    as it asked. If no daemon runs, this process collects, and always waits for the end."""
    if every == bool(names):
        raise click.UsageError("name the collectors, or say --all")
    with open_collectors(settings) as collectors:
        declared = {shown.metadata.name: shown for shown in collectors.listed()}
        missing = unknown_collectors(names, declared)
        for error in missing:
            print_error(error)
        if missing:
            return 1
        chosen = _enabled(declared) if every else list(dict.fromkeys(names))
        if retry_parked:
            for name in chosen:
                collectors.unpark(name)
        if accept_maildirs:
            for name in chosen:
                collectors.accept_maildirs(name)
        outcomes = _outcomes(
            collectors, chosen, output, wait=wait or not collectors.is_daemon, force=force
        )
        failed = [outcome.name for outcome in outcomes if not _is_success(outcome)]
        if failed:
            _print_next_attempts(collectors, failed)
    if output in {"json", "yaml"}:
        click.echo(serialize([_shown(outcome) for outcome in outcomes], output))
    return 1 if failed else 0


def _enabled(declared: dict[str, ShownCollector]) -> list[str]:
    return [name for name, shown in declared.items() if shown.spec.get("enabled", True)]


def _outcomes(
    collectors: Collectors, names: Sequence[str], output: str, *, wait: bool, force: bool
) -> list[CollectOutcome]:
    """Collect from each, or only ask for it, and print each outcome as soon as it is known. Return
    all outcomes."""
    outcomes: list[CollectOutcome] = []

    def finished(outcome: CollectOutcome) -> None:
        outcomes.append(outcome)
        _print(outcome, output)

    if wait:
        with progress() as show:
            collectors.collect(names, show, finished, force=force)
    else:
        for name in names:
            finished(_requested(collectors, name, force=force))
    return outcomes


def _requested(collectors: Collectors, name: str, *, force: bool) -> CollectOutcome:
    try:
        collectors.request(name, force=force)
    except CollectorError as error:
        return CollectOutcome(name, error=error)
    return CollectOutcome(name)


def _is_success(outcome: CollectOutcome) -> bool:
    return outcome.error is None and (outcome.session is None or is_success(outcome.session))


def _print(outcome: CollectOutcome, output: str) -> None:
    """Print an outcome: an error on stderr, in every form of output."""
    if outcome.error:
        print_error(f"{outcome.name}: {outcome.error.reason}: {outcome.error}")
    elif output == "name":
        click.echo(outcome.name)
    elif output == "table":
        click.echo(f"{outcome.name}: {_sentence(outcome)}")


def _sentence(outcome: CollectOutcome) -> str:
    if outcome.session is None:
        return "asked to collect"
    error = outcome.session.error
    return session_counters(outcome.session) + (f"; failed: {error_text(error)}" if error else "")


def _print_next_attempts(collectors: Collectors, names: Sequence[str]) -> None:
    now = datetime.now(UTC)
    for shown in collectors.listed():
        if shown.metadata.name in names and (upcoming := shown.status.next_session):
            print_message(
                f"{shown.metadata.name}: next attempt {time_until(upcoming, now)} "
                f"({moment(upcoming)})"
            )


def _shown(outcome: CollectOutcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "name": outcome.name,
        "session": json_data(outcome.session) if outcome.session else None,
        "error": {"reason": error.reason, "message": str(error)} if error else None,
    }
