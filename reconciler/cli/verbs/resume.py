"""`mailcollector resume`."""

from __future__ import annotations

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.connect import running_daemon
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "resume",
    examples=[("mailcollector resume", "lets the service go on")],
    exits={0: "the service runs", 1: "that cannot be kept, or the daemon refuses", 2: "usage"},
)
@common_options(uses=frozenset({"--state-dir"}))
def command(settings: Settings) -> int:
    """Ends a pause that `mailcollector pause`, the page or the API began. What is due starts at the
    pace that each server's limits allow."""
    from reconciler.app import without_daemon  # noqa: PLC0415  # the whole daemon, not for --help

    daemon = running_daemon(settings)
    if daemon is None:
        without_daemon.resume(settings)
    else:
        with daemon:
            daemon.resume()
    click.echo("the service is not paused")
    return 0
