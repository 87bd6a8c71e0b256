"""Reading manifests anew, and writing them, for changes over the API and the page."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from msgspec import Struct

from reconciler.control.declared_files import DeclaredFile
from reconciler.control.manifest_drafts import ManifestDraft
from reconciler.log import log
from reconciler.manifests.editing.git_commit import NotCommitted, commit, require_committable
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


def write_draft(found: ManifestDraft, by: str, *, git_commit: bool) -> AppliedChange:
    """Write a draft, and tell the log. Raises ReadOnlyManifests, ManifestNotWritten,
    ChangedMeanwhile, NotCommitted."""
    change, message = found.change, f"{_WORDS[found.verb]} collector {found.change.name}"
    if git_commit:
        require_committable(change.path)
    try:
        if (
            found.verb == "create"
            and found.after
            and any(map(is_modeline, found.after.text.splitlines()))
        ):
            provide(change.path.parent)
        change.write()
    except OSError as error:
        if error.errno in _READ_ONLY:
            raise ReadOnlyManifests(found) from error
        raise ManifestNotWritten(f"{change.path} cannot be written: {error.strerror}") from error
    done = AppliedChange(found)
    if git_commit:
        try:
            done = AppliedChange(found, commit(change.path, message, by))
        except NotCommitted as error:
            done = AppliedChange(found, trouble=str(error))
    log.info(
        "manifest changed",
        collector=change.name,
        what=found.verb,
        by=by,
        file=str(change.path),
        **({"commit": done.commit} if done.commit else {}),
        **({"trouble": done.trouble} if done.trouble else {}),
    )
    return done


def is_writable(path: Path) -> bool:
    """Return whether the file can be written, as far as the system tells."""
    return os.access(Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK)
