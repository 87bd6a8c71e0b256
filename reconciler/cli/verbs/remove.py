"""`mailcollector remove`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import manifest_changes
from reconciler.cli.common_options import READING, common_options
from reconciler.cli.connect import open_collectors, running_daemon
from reconciler.cli.verb import print_error, verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.manifests.editing.git_commit import require_committable
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.manifests.editing.manifest_editor import ManifestEditor


@verb(
    "remove",
    examples=[
        ("mailcollector remove sales", "removes the manifest of sales; on a terminal, asks first"),
        ("mailcollector remove sales --yes --git-commit", "does not ask, and commits it to git"),
    ],
    exits={
        0: "removed",
        1: "no such collector, not confirmed, or the file cannot be written",
        2: "usage",
    },
)
@click.argument("name", shell_complete=collector_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@manifest_changes.git_commit
@common_options(uses=READING)
def command(settings: Settings, name: str, yes: bool, git_commit: bool) -> int:
    """Removes the manifest of the collector NAME: its document, and the file if nothing else is in
    it. The collector stops after the message in hand. What it has collected is remembered for 30
    days, so that a manifest that comes back collects nothing twice. A removal by this verb is
    always taken as intended, even that of the last collector. Where the manifest is gone already
    and the collector is held, its removal is confirmed. Only on a terminal it asks first."""
    editor = manifest_changes.open_editor(settings)
    held = _is_held(settings, editor, name)
    if not held:
        manifest_changes.require_declared(editor, name)
    if not (yes or _confirmed(name, held=held)):
        print_error(f"{name} was not removed")
        return 1
    if held:
        _confirm_removal(settings, name)
        click.echo(f"Confirm the removal of collector {name}")
        return 0
    with manifest_changes.printed_diagnostics():
        if git_commit:
            require_committable(editor.declared(name).path)
        written = editor.remove(name)
    _confirm_removal(settings, name)
    manifest_changes.report_change(written.path, f"Remove collector {name}", git_commit=git_commit)
    return 0


def _confirmed(name: str, *, held: bool) -> bool:
    question = f"{'Stop' if held else 'Remove the manifest of'} {name}?"
    return not sys.stdin.isatty() or click.confirm(question, err=True)


def _is_held(settings: Settings, editor: ManifestEditor, name: str) -> bool:
    """Return whether no manifest declares this collector any more, and it runs on because others
    vanished with it."""
    if name in editor.names():
        return False
    # only for a name that no manifest has
    from reconciler.planning.version_choice import HELD  # noqa: PLC0415

    with open_collectors(settings) as collectors:
        return any(
            one.metadata.name == name
            and any(condition.reason == HELD for condition in one.status.conditions)
            for one in collectors.listed(name)
        )


def _confirm_removal(settings: Settings, name: str) -> None:
    """Tell the daemon, or the ledger, that the removal is intended. It is not held then, even if
    other manifests vanish at the same time."""
    daemon = running_daemon(settings)
    if daemon is not None:
        with daemon:
            daemon.confirm_removed(name)
        return
    # everything there is, only where no daemon runs
    from reconciler.app import without_daemon  # noqa: PLC0415

    without_daemon.confirm_removed(settings, name)
