"""`mailcollector pause`."""

from __future__ import annotations

import os
import pwd

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.connect import running_daemon
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "pause",
    examples=[
        ("mailcollector pause --reason maintenance", "starts no session any more"),
        ("mailcollector pause", "the same, without telling why"),
    ],
    exits={0: "the service is paused", 1: "that cannot be kept, or the daemon refuses", 2: "usage"},
)
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help="The reason, shown while the service is paused.",
)
@common_options(uses=frozenset({"--state-dir"}))
def command(settings: Settings, reason: str) -> int:
    """Pauses the whole service: no collector starts a session, until `mailcollector resume`. The
    sessions that run end after the message in hand. The pause outlasts restarts. Where no
    daemon runs, it holds for `run --once`, for `collect` and for the next daemon. Checks are still
    possible, and the daemon stays healthy and ready."""
    # the whole of the daemon, not for --help
    from reconciler.app import without_daemon  # noqa: PLC0415

    daemon = running_daemon(settings)
    if daemon is None:
        without_daemon.pause(settings, _user_name(), reason)
        click.echo("the service is paused; no daemon runs")
        return 0
    with daemon:
        daemon.pause(_user_name(), reason)
    click.echo("the service is paused")
    return 0


def _user_name() -> str:
    """Return the name of the user who runs this program, or the UID where the user has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
