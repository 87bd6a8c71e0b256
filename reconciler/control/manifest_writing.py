"""Reading manifests anew, and writing them, for changes over the API and the page."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.control.declared_files import DeclaredFile
from reconciler.control.manifest_drafts import ManifestDraft
from reconciler.disk import sync_names
from reconciler.log import log
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile, replace_unsynced
from reconciler.manifests.editing.manifest_editor import ManifestEditor
from reconciler.manifests.editing.modeline import is_modeline, provide
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_files import Unreadable, read
from reconciler.manifests.manifest_set import Content, FileRecord, ManifestSet, keep_all
from reconciler.manifests.summary_index import SummaryIndex
from reconciler.model.errors import CollectorError

_WORDS = {
    "create": "Add",
    "replace": "Change",
    "delete": "Remove",
    "enable": "Enable",
    "disable": "Disable",
}
"""The first word of a commit's message, by the verb."""
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class ReadOnlyManifests(CollectorError):
    """The manifests cannot be written here. `draft` is what somebody has to commit elsewhere."""

    reason = "ReadOnly"

    def __init__(self, draft: ManifestDraft) -> None:
        super().__init__(
            f"{draft.change.path} cannot be written here: commit the change where the manifests "
            "come from"
        )
        self.draft = draft


class ManifestNotWritten(CollectorError):
    """The system refuses to write a file."""

    reason = "NotWritten"


class AppliedChange(Struct, frozen=True):
    """A change that is written and in force. `commit` is the abbreviated git commit. `trouble`:
    why there is none, although one was asked for."""

    draft: ManifestDraft
    commit: str = ""
    trouble: str = ""


class KnownManifests:
    """Makes editors over the manifests of an observed directory. The index of thousands of files is
    made once for each observation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last: tuple[ManifestSet[DeclaredFile], ManifestEditor] | None = None

    def editor(
        self, manifests: ManifestSet[DeclaredFile], index: SummaryIndex, name: str | None
    ) -> ManifestEditor:
        """Return an editor over the manifests of a look, with this collector's files read anew.
        `index` tells where they are. May be called in any thread."""
        last = self._last
        if last is None or last[0] is not manifests:
            before = (last[0], last[1].manifests) if last else None
            parsed = manifests.keeping(keep_all, lambda one: one.parsed, before)
            last = manifests, ManifestEditor(self._directory, manifests=parsed, index=index)
            self._last = last
        return _fresh(self._directory, last[1], name)


def _fresh(directory: Path, editor: ManifestEditor, name: str | None) -> ManifestEditor:
    known = editor.manifests
    changes: dict[str, FileRecord[ParsedFile] | Content | None] = {}
    for path, _ in editor.places(name) if name is not None else ():
        record = known.records[str(path)]
        try:
            data = read(path)
        except Unreadable:
            if not os.path.lexists(path):
                changes[str(path)] = None
            continue
        if hashlib.sha256(data).digest() != record.digest:
            changes[str(path)] = Content(data, outside=record.outside)
    if not changes:
        return editor
    return ManifestEditor(directory, manifests=known.with_changes(changes))


def write_all(drafts: Sequence[ManifestDraft]) -> list[CollectorError | None]:
    """Write drafts; each file once, where several have the same change of it. Return for each why
    it was not written: ReadOnlyManifests, ManifestNotWritten, ChangedMeanwhile."""
    done: dict[Path, CollectorError | None] = {}
    directories: dict[Path, list[Path]] = {}
    for found in drafts:
        path = found.change.path
        if path not in done:
            try:
                directories.setdefault(_write(found), []).append(path)
                done[path] = None
            except (OSError, ChangedMeanwhile) as error:
                done[path] = _refusal(found, error)
    for directory, paths in directories.items():
        try:
            sync_names(directory)
        except OSError as error:
            message = f"{directory} cannot be written: {error.strerror}"
            done |= dict.fromkeys(paths, ManifestNotWritten(message))
    return [done[found.change.path] for found in drafts]


def _write(found: ManifestDraft) -> Path:
    """Write a file. Return the directory whose names are to be made durable."""
    change = found.change
    text = found.after.text if found.verb == "create" and found.after else ""
    if any(map(is_modeline, text.splitlines())):
        provide(change.path.parent)
    return replace_unsynced(change.path, change.before, change.after)


def _refusal(found: ManifestDraft, error: OSError | ChangedMeanwhile) -> CollectorError:
    if isinstance(error, ChangedMeanwhile):
        return error
    if error.errno in _READ_ONLY:
        return ReadOnlyManifests(found)
    return ManifestNotWritten(f"{found.change.path} cannot be written: {error.strerror}")


def commit_message(drafts: Sequence[ManifestDraft]) -> str:
    """Return what a commit of these changes is called."""
    verbs = {found.verb for found in drafts}
    word = _WORDS[drafts[0].verb] if len(verbs) == 1 else "Change"
    names = [found.change.name for found in drafts]
    if len(names) == 1:
        return f"{word} collector {names[0]}"
    return "\n".join([f"{word} {len(names)} collectors", "", *names])


def log_change(done: AppliedChange, by: str) -> None:
    """Tell the log of a change that was written."""
    found = done.draft
    log.info(
        "manifest changed",
        collector=found.change.name,
        what=found.verb,
        by=by,
        file=str(found.change.path),
        **({"commit": done.commit} if done.commit else {}),
        **({"trouble": done.trouble} if done.trouble else {}),
    )


def is_writable(path: Path) -> bool:
    """Return whether the file can be written, as far as the system tells."""
    return os.access(Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK)
