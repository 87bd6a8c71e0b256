"""`mailcollector run`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from msgspec.structs import replace

from reconciler.cli.common_options import common_options
from reconciler.cli.connect import MANIFESTS
from reconciler.cli.verb import verb
from reconciler.model.settings import Settings


@verb(
    "run",
    failure=2,
    examples=[
        ("mailcollector run", "runs the manifests in ./collectors.d, with its state in ./state"),
        (
            "mailcollector run /etc/mailcollector/collectors.d --state-dir /var/lib/mailcollector",
            "the same where a package would put them",
        ),
        (
            "mailcollector run --once",
            "collects one session of every enabled collector and ends: for cron",
        ),
        (
            "mailcollector run --listen 127.0.0.1:8080",
            "serves the probes and the metrics there as well",
        ),
    ],
    exits={
        0: "stopped by SIGTERM or SIGINT; --once: every collector succeeded",
        1: "--once: a collector failed, or a manifest is invalid",
        2: "could not start: no such directory, or another process owns the state; usage",
    },
)
@click.argument(
    "directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--once", is_flag=True, help="Run every enabled collector one session, then end.")
@click.option(
    "--allow-empty",
    is_flag=True,
    help="If there is no collector at all at the start, although there were several: stop them, "
    "do not hold "
    "them.",
)
@click.option(
    "--git-commit",
    is_flag=True,
    envvar="MAILCOLLECTOR_GIT_COMMIT",
    show_envvar=True,
    help="Make a git commit of each change that somebody makes over the API or the page, with that "
    "name as the author.",
)
@common_options(log_level="info")
@click.pass_context
def command(
    ctx: click.Context,
    settings: Settings,
    directory: Path | None,
    once: bool,
    allow_empty: bool,
    git_commit: bool,
) -> int:
    """Runs the daemon. It watches the manifests in DIR, keeps a loop running for each enabled
    collector, and serves its API on control.sock in the state directory, where the other verbs
    reach it. SIGTERM ends it within 10 seconds; the message in hand is given up then, and collected
    the next time. With --once every enabled collector runs one session, and the process ends. While
    the service is paused, no session starts."""
    if (
        directory
        and settings.manifests not in {None, directory}
        and ctx.get_parameter_source("manifests") is ParameterSource.COMMANDLINE
    ):
        raise click.UsageError("give the manifests' directory once: DIR or --manifests")
    if not once:
        from reconciler.app.process_setup import end_well_while_starting  # noqa: PLC0415

        end_well_while_starting()
    from reconciler.app.run_command import run  # noqa: PLC0415  # much code, not needed for --help
    from reconciler.cli import log_output  # noqa: PLC0415

    log_output.configure(settings.log_format, settings.log_level)
    settings = replace(settings, git_commit=git_commit)
    return run(settings, directory or settings.manifests or MANIFESTS, once, allow_empty)
