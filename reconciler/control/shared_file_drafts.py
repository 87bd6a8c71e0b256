"""Drafts of changes to several collectors of one file, which is read and checked once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.control.manifest_drafts import (
    DeleteManifest,
    ManifestDraft,
    SwitchManifest,
    shown_manifest,
    verb_of,
)
from reconciler.manifests.editing.document_changes import with_enabled
from reconciler.manifests.editing.document_texts import DeclaredDocument, documents, header
from reconciler.manifests.editing.manifest_editor import EditRefused, FileChange, ManifestEditor
from reconciler.manifests.editing.yaml_patch import Unpatchable
from reconciler.manifests.yaml.document_nodes import UnusableDocument

SimpleChange = SwitchManifest | DeleteManifest


def draft_together(
    editor: ManifestEditor, path: Path, asked: Sequence[SimpleChange]
) -> list[ManifestDraft] | None:
    """Return the drafts, all with the same change of the file and without the difference. None
    where something is wrong with one of them: each has to be drafted by itself then."""
    try:
        found = editor.declared_in(path, [one.name for one in asked])
        if len(found) < len(asked):
            return None
        texts = {one.name: _changed(found[one.name], one) for one in asked}
        first = found[asked[0].name]
        after = _file_with(first, found, texts)
        kept = [name for name, text in texts.items() if text is not None]
        if kept and after is not None:
            editor.require_valid(path, after, *kept)
        relative = os.path.relpath(path, editor.directory)
        return [
            ManifestDraft(
                FileChange(one.name, path, first.data, after),
                verb_of(one),
                shown_manifest(one.name, path, found[one.name].own),
                None if (own := texts[one.name]) is None else shown_manifest(one.name, path, own),
                "",
                relative,
            )
            for one in asked
        ]
    except (EditRefused, Unpatchable, UnusableDocument, UnicodeEncodeError):
        return None


def _changed(document: DeclaredDocument, asked: SimpleChange) -> str | None:
    """Return the document's text after a change; None: it goes."""
    if isinstance(asked, DeleteManifest):
        return None
    return with_enabled(document.own, enabled=asked.enabled)


def _file_with(
    file: DeclaredDocument,
    found: Mapping[str, DeclaredDocument],
    texts: Mapping[str, str | None],
) -> bytes | None:
    """Return the file's content with these texts of its documents; None where none is left. The
    last document is changed first, so that those before it stay where they were."""
    gone = sum(text is None for text in texts.values())
    if gone and gone == len(documents(file.text)):
        return None
    now = file
    for name, document in sorted(found.items(), key=lambda one: one[1].start, reverse=True):
        own = texts[name]
        before, after = now.text[: document.start], now.text[document.end :]
        if own is None:
            own = header(document.own, after) if document.start == 0 else ""
        now = DeclaredDocument(file.path, file.data, before + own + after, 0, 0)
    return now.with_own("")
