"""Changes of manifests that are drafted, written and committed together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.control.manifest_drafts import (
    CreateManifest,
    DeleteManifest,
    EtagCondition,
    ManifestChange,
    ManifestDraft,
    SwitchManifest,
    draft,
)
from reconciler.control.manifest_writing import AppliedChange, commit_message, log_change, write_all
from reconciler.control.shared_file_drafts import draft_together
from reconciler.manifests.editing.git_commit import NotCommitted, commit_files, uncommitted
from reconciler.manifests.editing.manifest_editor import (
    AlreadyDeclared,
    ManifestEditor,
    NotDeclared,
)

EditorOf = Callable[[str | None], ManifestEditor]
"""Returns an editor, with the files of this collector read anew."""


class AskedChange(Struct, eq=False):
    """A change that somebody waits for, and what came of it. `call` is the same for the changes of
    one call, which git commits as one. `is_looked_at`: if a name is not declared, or is already,
    that counts."""

    asked: ManifestChange
    by: str
    expected: EtagCondition | None
    call: object
    is_looked_at: bool = False
    draft: ManifestDraft | None = None
    outcome: AppliedChange | Exception | None = None

    @property
    def name(self) -> str | None:
        """The collector that the change names; None for a new one."""
        return None if isinstance(self.asked, CreateManifest) else self.asked.name

    @property
    def written(self) -> ManifestDraft | None:
        """The draft, if it was written."""
        done = self.outcome
        return done.draft if isinstance(done, AppliedChange) and done.draft.changed else None


def draft_batch(editor_of: EditorOf, waiting: Sequence[AskedChange]) -> None:
    """Draft changes of different files. What is refused has its outcome. What has neither a draft
    nor an outcome afterwards can be drafted when these are written, and the directory was looked
    at."""
    taken: set[str] = set()
    for group in _of_one_file(editor_of(None), waiting):
        while len(group) > 1 and not _drafted_together(editor_of, group, taken):
            group = group[: len(group) // 2]  # noqa: PLW2901  # the others are for the next batch
        if len(group) == 1:
            _draft_alone(editor_of, group[0], taken)


def _of_one_file(editor: ManifestEditor, waiting: Iterable[AskedChange]) -> list[list[AskedChange]]:
    """Return the changes, with those of one call that concern one file side by side."""
    groups: dict[object, list[AskedChange]] = {}
    for one in waiting:
        key: object = id(one)
        if isinstance(one.asked, SwitchManifest | DeleteManifest) and one.expected is None:
            places = editor.places(one.asked.name)
            key = (id(one.call), places[0][0]) if len(places) == 1 else key
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _drafted_together(editor_of: EditorOf, group: Sequence[AskedChange], taken: set[str]) -> bool:
    """Draft changes that concern one file. Return False where something is wrong with one."""
    asked = [one.asked for one in group if isinstance(one.asked, SwitchManifest | DeleteManifest)]
    try:
        editor = editor_of(asked[0].name)
        path = editor.declared(asked[0].name).path
        if _target(path) in taken:
            return True
        drafts = draft_together(editor, path, asked)
    except Exception:  # noqa: BLE001  # it is raised again for the change that it concerns
        return False
    if drafts is None:
        return False
    taken.add(_target(path))
    for one, found in zip(group, drafts, strict=True):
        one.draft = found
    return True


def _draft_alone(editor_of: EditorOf, one: AskedChange, taken: set[str]) -> None:
    try:
        editor = editor_of(one.name)
        places = [] if one.name is None else editor.places(one.name)
        if any(_target(path) in taken for path, _ in places):
            return
        found = draft(editor, one.asked, one.expected)
        if _target(found.change.path) in taken:
            return
        found.require_valid()
    except (NotDeclared, AlreadyDeclared) as error:
        if one.is_looked_at:
            one.outcome = error
        one.is_looked_at = True  # perhaps that is not so any more
    except Exception as error:  # noqa: BLE001  # who asked for this one gets it
        one.outcome = error
    else:
        one.draft = found
        taken.add(_target(found.change.path))


def _target(path: Path) -> str:
    return os.path.realpath(path)


def write_batch(waiting: Iterable[AskedChange], *, git_commit: bool) -> None:
    """Write the drafts, and tell the log. Each has its outcome afterwards."""
    ready = [(one, one.draft) for one in waiting if one.draft is not None and one.outcome is None]
    for one, found in ready:
        if not found.changed:
            one.outcome = AppliedChange(found)
    if git_commit:
        open_changes = uncommitted(_paths(ready))
        for one, found in ready:
            one.outcome = one.outcome or open_changes.get(found.change.path)
    ready = [(one, found) for one, found in ready if one.outcome is None]
    errors = write_all([found for _, found in ready])
    for (one, found), error in zip(ready, errors, strict=True):
        one.outcome = error or AppliedChange(found)
    ready = [(one, found) for one, found in ready if not isinstance(one.outcome, Exception)]
    if git_commit:
        _commit(ready)
    for one, _ in ready:
        if isinstance(one.outcome, AppliedChange):
            log_change(one.outcome, one.by)


def _commit(written: Sequence[tuple[AskedChange, ManifestDraft]]) -> None:
    """Commit what was written: the changes of each call as one."""
    calls: dict[int, list[tuple[AskedChange, ManifestDraft]]] = {}
    for one, found in written:
        calls.setdefault(id(one.call), []).append((one, found))
    for members in calls.values():
        message = commit_message([found for _, found in members])
        done = commit_files(_paths(members), message, members[0][0].by)
        for one, found in members:
            result = done[found.change.path]
            one.outcome = (
                AppliedChange(found, trouble=str(result))
                if isinstance(result, NotCommitted)
                else AppliedChange(found, result)
            )


def _paths(ready: Iterable[tuple[AskedChange, ManifestDraft]]) -> list[Path]:
    return list(dict.fromkeys(found.change.path for _, found in ready))
