"""The common part of the verbs that change manifest files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.collectors import UnknownCollector
from reconciler.cli.connect import manifests_directory
from reconciler.cli.readable_text import print_message
from reconciler.manifests.editing.git_commit import commit, require_committable
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.manifests.diagnostics import Diagnostic
    from reconciler.manifests.editing.manifest_editor import ManifestEditor, Written

EXITS = {
    0: "written, or nothing had to be changed",
    1: "refused: the result would be invalid, no such collector, or the file cannot be written",
    2: "usage",
}
git_commit = click.option(
    "--git-commit", is_flag=True, help="Make a git commit of exactly the changed file."
)


def open_editor(settings: Settings) -> ManifestEditor:
    """Open the manifests to change: the running daemon's, or those of --manifests or
    ./collectors.d."""
    # not needed for --help
    from reconciler.manifests.editing.manifest_editor import ManifestEditor  # noqa: PLC0415

    return ManifestEditor(
        manifests_directory(settings), allow_inline_secrets=settings.allow_inline_secrets
    )


@contextlib.contextmanager
def printed_diagnostics() -> Iterator[None]:
    """Print each diagnostic of an EditRefused in a line, before the error itself."""
    from reconciler.manifests.editing.manifest_editor import EditRefused  # noqa: PLC0415

    try:
        yield
    except EditRefused as refused:
        for found in refused.diagnostics:
            print_message(diagnostic_line(found))
        raise


def diagnostic_line(found: Diagnostic) -> str:
    """Return a diagnostic in one line."""
    return escape(
        f"{found.file}:{found.line}:{found.column}: {found.severity}: {found.message} "
        f"[{found.rule}]"
    )


def require_declared(editor: ManifestEditor, name: str) -> None:
    """Raise UnknownCollector where no manifest declares this collector."""
    known = editor.names()
    if name not in known:
        raise UnknownCollector(name, known)


def report_change(path: Path, message: str, *, git_commit: bool) -> None:
    """Print what was done, and commit it with this `message` if requested."""
    revision = f", commit {commit(path, message)}" if git_commit else ""
    click.echo(escape(f"{message}: {path}{revision}"))


def change_document(
    settings: Settings, name: str, edit: Callable[[str], str], message: str, *, git_commit: bool
) -> bool:
    """Change a collector's document in its file; return whether anything was different."""
    editor = open_editor(settings)
    require_declared(editor, name)
    with printed_diagnostics():
        if git_commit:
            require_committable(editor.declared(name).path)
        written: Written | None = editor.change(name, edit)
    if written is None:
        click.echo(f"{escape(name)}: nothing to change")
        return False
    report_change(written.path, message, git_commit=git_commit)
    return True


def set_enabled(settings: Settings, name: str, *, enabled: bool, git_commit: bool) -> int:
    """Enable or disable a collector in its manifest; return the exit code."""
    # not needed for --help
    from reconciler.manifests.editing.document_changes import with_enabled  # noqa: PLC0415

    change_document(
        settings,
        name,
        lambda own: with_enabled(own, enabled=enabled),
        f"{'Enable' if enabled else 'Disable'} collector {name}",
        git_commit=git_commit,
    )
    return 0
