"""`mailcollector edit`."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import manifest_changes
from reconciler.cli.common_options import FILES, common_options
from reconciler.cli.verb import print_error, verb
from reconciler.cli.verbs.completion import collector_names
from reconciler.manifests.editing.git_commit import require_committable
from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor

_KEY = re.compile(r"""\.?([\w-]+)|\["([^"]+)"\]""")
_MARK = "#! "
"""The start of the comment lines that show errors in the editor. They are removed afterwards."""


class EditorFailed(CollectorError):
    """The editor could not be started, or ended with an error."""

    reason = "EditorFailed"


def parse_field(text: str) -> tuple[str, ...]:
    """Return the keys of a field such as spec.collect.interval or metadata.labels["a.b"]. Raises
    ValueError."""
    found, at = [], 0
    while at < len(text):
        match = _KEY.match(text, at)
        if match is None:
            raise ValueError(text)
        found.append(match[1] or match[2])
        at = match.end()
    if not found:
        raise ValueError(text)
    return tuple(found)


class EditableField(click.ParamType[tuple[str, ...]]):
    """The parameter type of a field such as spec.collect.interval: its keys."""

    name = "field"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        try:
            return parse_field(str(value))
        except ValueError:
            self.fail(f"{value!r} is no field, such as spec.collect.interval", param, ctx)


class Assignment(click.ParamType[tuple[tuple[str, ...], str]]):
    """The parameter type FIELD=VALUE: the field's keys, and its value as text."""

    name = "field=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, ...], str]:
        field, equals, text = str(value).partition("=")
        try:
            return parse_field(field if equals else ""), text
        except ValueError:
            self.fail(
                f"{value!r} is not of the form FIELD=VALUE, such as spec.collect.interval=10m",
                param,
                ctx,
            )


@verb(
    "edit",
    examples=[
        ("mailcollector edit sales", "opens the manifest of sales in $VISUAL or $EDITOR"),
        ("mailcollector edit sales --set spec.collect.interval=10m", "changes one field"),
        (
            (
                "mailcollector edit sales --set spec.source.folders=[INBOX,Sent] "
                "--unset spec.title "
                "--git-commit"
            ),
            "changes a list, removes a field, and commits it to git",
        ),
    ],
    exits=manifest_changes.EXITS,
)
@click.argument("name", shell_complete=collector_names)
@click.option(
    "--set",
    "sets",
    type=Assignment(),
    metavar="FIELD=VALUE",
    multiple=True,
    help="Give a field this value: text, a number, true, false, or YAML in brackets, braces or "
    "quotes.",
)
@click.option(
    "--unset",
    "unsets",
    type=EditableField(),
    metavar="FIELD",
    multiple=True,
    help="Remove a field.",
)
@manifest_changes.git_commit
@common_options(uses=FILES)
def command(
    settings: Settings,
    name: str,
    sets: Sequence[tuple[tuple[str, ...], str]],
    unsets: Sequence[tuple[str, ...]],
    git_commit: bool,
) -> int:
    """Changes the manifest of the collector NAME in its file: the fields that are named or, without
    any, whatever is changed in the editor, which opens again until the manifest is valid.
    Everything else in the file, comments, order and quoting, stays as it is. An invalid result is
    not written."""
    message = f"Change collector {name}"
    if not (sets or unsets):
        return _with_editor(settings, name, message, git_commit=git_commit)
    # not needed for --help
    from reconciler.manifests.editing.yaml_patch import MISSING, Setting, apply_settings, typed_yaml  # noqa: PLC0415

    def edited(own: str) -> str:
        return apply_settings(
            own,
            [
                *(Setting(field, typed_yaml(text)) for field, text in sets),
                *(Setting(field, MISSING) for field in unsets),
            ],
        )

    manifest_changes.change_document(settings, name, edited, message, git_commit=git_commit)
    return 0


def _with_editor(settings: Settings, name: str, message: str, *, git_commit: bool) -> int:
    if not _is_terminal():
        raise click.UsageError("an editor needs a terminal: name the fields with --set FIELD=VALUE")
    editor = manifest_changes.open_editor(settings)
    manifest_changes.require_declared(editor, name)
    with manifest_changes.printed_diagnostics():
        before = editor.declared(name).own
    if git_commit:
        require_committable(editor.declared(name).path)
    with _unwritten_text_kept(name) as draft:
        return _edit_until_valid(editor, name, before, draft, message, git_commit=git_commit)


class _Draft:
    """The text that was typed in the editor, or None if it need not be saved."""

    text: str | None = None


@contextlib.contextmanager
def _unwritten_text_kept(name: str) -> Iterator[_Draft]:
    """Keep a text that was not written to the manifest in a temporary file of mode 0600, and print
    its path, however the context ends."""
    draft = _Draft()
    try:
        yield draft
    finally:
        if draft.text is not None:
            descriptor, file = tempfile.mkstemp(
                prefix=f"mailcollector-{name}-", suffix=".yaml", text=False
            )
            with os.fdopen(
                descriptor, "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as kept:
                kept.write(draft.text)
            print_error(f"what you wrote is kept in {file}")


def _edit_until_valid(
    editor: ManifestEditor, name: str, before: str, draft: _Draft, message: str, *, git_commit: bool
) -> int:
    # not needed for --help
    from reconciler.manifests.editing.atomic_files import ChangedMeanwhile  # noqa: PLC0415
    from reconciler.manifests.editing.manifest_editor import EditRefused  # noqa: PLC0415

    def replaced(own: str) -> str:
        if own != before:
            raise ChangedMeanwhile(
                f"the manifest of {name} was changed while the editor was open, so nothing was "
                "written: edit it again"
            )
        return after

    content, shown = before, before
    while True:
        after = _text_from_editor(shown, draft)
        if after == before:
            draft.text = None
        if after in {before, content if shown != before else before}:
            print_error(f"{name} was not changed")
            return 0 if after == before else 1
        try:
            written = editor.change(name, replaced)
        except EditRefused as refused:
            content, shown = after, _with_diagnostics(after, refused)
            continue
        draft.text = None
        assert written is not None  # noqa: S101  # the text differs
        manifest_changes.report_change(written.path, message, git_commit=git_commit)
        return 0


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _with_diagnostics(content: str, refused: EditRefused) -> str:
    """Return the text below comment lines that say what is wrong with it."""
    comments = [
        escape(f"{found.path or 'YAML'}: {found.message}") for found in refused.diagnostics
    ] or [str(refused)]
    return (
        "".join(
            f"{_MARK}{line}\n" for line in [*comments, "Fix it, or leave it as it is to give up."]
        )
        + content
    )


def _text_from_editor(content: str, draft: _Draft) -> str:
    """Open the person's editor with a text, and return the text that was saved, which `draft` gets
    as well. Raises EditorFailed."""
    with tempfile.TemporaryDirectory(prefix="mailcollector-") as directory:
        file = Path(directory) / "manifest.yaml"
        file.write_text(content, encoding="utf-8", errors="surrogateescape", newline="")
        program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            code = subprocess.run([*shlex.split(program), str(file)], check=False).returncode
        except (OSError, ValueError) as error:
            raise EditorFailed(f"the editor {program!r} cannot be started: {error}") from error
        after = _saved(file)
        if after != "".join(
            line for line in content.splitlines(keepends=True) if not line.startswith(_MARK)
        ):
            draft.text = after
        if code:
            raise EditorFailed(
                f"the editor {program!r} ended with exit code {code}: nothing was written"
            )
        return after


def _saved(file: Path) -> str:
    """Return the text of a file, without the comment lines that were put above it."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as changed:
            return "".join(line for line in changed if not line.startswith(_MARK))
    except FileNotFoundError as error:
        raise EditorFailed("the editor removed the file: nothing was written") from error
