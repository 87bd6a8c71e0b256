"""What a change of a collector's manifest would write, before anything is written."""

from __future__ import annotations

import os
import string
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from ruamel.yaml.error import MarkedYAMLError

from reconciler.manifests.diagnostics import Diagnostic, in_order
from reconciler.manifests.editing.document_changes import (
    count,
    in_place_of,
    plain_data,
    with_data,
    with_enabled,
    without_nulls,
)
from reconciler.manifests.editing.inline_secrets import digest, hidden, hidden_data, restored
from reconciler.manifests.editing.manifest_editor import (
    AlreadyDeclared,
    EditRefused,
    FileChange,
    Shelf,
)
from reconciler.manifests.editing.modeline import modeline_for
from reconciler.manifests.editing.new_manifests import manifest_text
from reconciler.manifests.editing.unified_diff import unified_diff
from reconciler.manifests.editing.yaml_patch import Unspliceable
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import Unusable
from reconciler.model.errors import CollectorError

_OF_NAMES = frozenset(f"{string.ascii_lowercase}{string.digits}-")

Content = str | Mapping[str, Any]
"""A manifest as the text of a YAML document, or as data."""


class CreateManifest(Struct, frozen=True):
    """A new collector, in a file of its own."""

    content: Content


class ReplaceManifest(Struct, frozen=True):
    """Another content of a collector's document. Of data, only the differences are written, so
    that comments, order and quoting stay."""

    name: str
    content: Content


class DeleteManifest(Struct, frozen=True):
    """No document of this collector."""

    name: str


class SwitchManifest(Struct, frozen=True):
    """A collector that is enabled, or disabled."""

    name: str
    enabled: bool


ManifestChange = CreateManifest | ReplaceManifest | DeleteManifest | SwitchManifest


class ManifestOutdated(CollectorError):
    """The document is another one than the one that was to be changed. `etag` is that of now."""

    reason = "PreconditionFailed"

    def __init__(self, message: str, etag: str = "") -> None:
        super().__init__(message)
        self.etag = etag


class DeclaredManifest(Struct, frozen=True):
    """A collector's document as it is declared, with inline secrets hidden. `etag` identifies its
    exact text, without quotation marks."""

    name: str
    path: Path
    text: str
    data: Mapping[str, Any]
    etag: str


class ManifestDraft(Struct, frozen=True):
    """A change before it is written. `problem` and `diagnostics` say why it will not be. `before`
    is None of a new collector, `after` of one that is deleted, or where the result is no YAML."""

    change: FileChange
    verb: str
    before: DeclaredManifest | None
    after: DeclaredManifest | None
    diff: str
    problem: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything would be written."""
        return self.change.before != self.change.after

    def require_valid(self) -> None:
        """Raise EditRefused where the change will not be written."""
        if self.problem:
            raise EditRefused(self.problem, self.diagnostics)


def declared_manifest(shelf: Shelf, name: str) -> DeclaredManifest:
    """Return a collector's document. Raises NotDeclared and EditRefused."""
    found = shelf.declared(name)
    return _shown(name, found.path, found.own)


def draft(shelf: Shelf, asked: ManifestChange, expected: Collection[str] | None) -> ManifestDraft:
    """Return what a change would write. `expected` are the ETags of which the present document must
    have one; None: it may have any. Raises NotDeclared, ManifestOutdated, and EditRefused where
    there is no result at all."""
    try:
        if isinstance(asked, CreateManifest):
            return _creation(shelf, asked.content)
        before = declared_manifest(shelf, asked.name)
        if expected is not None and before.etag not in expected:
            raise ManifestOutdated(
                f"the manifest of {asked.name} was changed meanwhile: look at it again", before.etag
            )
        return _change(shelf, asked, before)
    except (Unspliceable, Unusable) as error:
        raise EditRefused(f"nothing was written: {error}") from error
    except UnicodeEncodeError as error:
        raise EditRefused("nothing was written: the text is not UTF-8") from error


def _creation(shelf: Shelf, content: Content) -> ManifestDraft:
    if not isinstance(content, str):
        content = manifest_text(without_nulls(content), modeline=modeline_for(shelf.directory))
    name = _name(content)
    path = shelf.directory / f"{name or 'unnamed'}.yaml"
    if name and shelf.places(name):
        raise AlreadyDeclared(f"{name} is declared already, in {shelf.declared(name).path}")
    if name and os.path.lexists(path):
        raise AlreadyDeclared(
            f"{path} exists already: take another name, or put this manifest into it by hand"
        )
    text = restored(content, None) if name else content
    return _checked(shelf, FileChange(name, path, None, text.encode()), "create", None, text)


def _change(
    shelf: Shelf, asked: ReplaceManifest | DeleteManifest | SwitchManifest, before: DeclaredManifest
) -> ManifestDraft:
    if isinstance(asked, DeleteManifest):
        change = shelf.removed(asked.name)
        return ManifestDraft(change, "delete", before, None, _diff(shelf, change))
    results: list[str] = []

    def edit(own: str) -> str:
        if isinstance(asked, SwitchManifest):
            result = with_enabled(own, enabled=asked.enabled)
        elif isinstance(asked.content, str):
            result = restored(in_place_of(own, asked.content), own)
        else:
            result = restored(with_data(own, asked.content), own)
        results.append(result)
        return result

    change = shelf.edited(asked.name, edit)
    verb = "replace"
    if isinstance(asked, SwitchManifest):
        verb = "enable" if asked.enabled else "disable"
    return _checked(shelf, change, verb, before, results[0])


def _checked(
    shelf: Shelf, change: FileChange, verb: str, before: DeclaredManifest | None, own: str
) -> ManifestDraft:
    """Return the draft with what is wrong with its result."""
    problem = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    try:
        _require_one(own)
        shelf.require_valid(change.path, change.after or b"", change.name)
    except EditRefused as refused:
        problem, diagnostics = str(refused), tuple(in_order(refused.diagnostics))
    try:
        after, diff = _shown(change.name, change.path, own), _diff(shelf, change)
    except (EditRefused, MarkedYAMLError, Unusable):
        after, diff = None, ""
    return ManifestDraft(change, verb, before, after, diff, problem, diagnostics)


def _require_one(own: str) -> None:
    """Raise EditRefused unless the text is one document, or no YAML, of which others tell more."""
    try:
        found = count(own)
    except Unusable:
        return
    if found != 1:
        raise EditRefused("nothing was written: give one manifest, in one YAML document")


def _shown(name: str, path: Path, own: str) -> DeclaredManifest:
    try:
        return DeclaredManifest(name, path, hidden(own), hidden_data(plain_data(own)), digest(own))
    except (MarkedYAMLError, Unusable) as error:
        raise EditRefused(f"{path} is not YAML throughout: fix it by hand") from error


def _diff(shelf: Shelf, change: FileChange) -> str:
    """Return the difference of the file, with inline secrets hidden."""
    before, after = (
        None if data is None else hidden(text_encoding.decode(data))
        for data in (change.before, change.after)
    )
    return unified_diff(before, after, os.path.relpath(change.path, shelf.directory))


def _name(text: str) -> str:
    """Return the name that a manifest declares; "" where it has none that may be a file's."""
    try:
        data = plain_data(text)
    except Unusable:
        return ""
    metadata = data.get("metadata") if isinstance(data, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and is_name(name) else ""


def is_name(text: str) -> bool:
    """Return whether a collector, and its file, may have this name."""
    return 0 < len(text) < 64 and set(text) <= _OF_NAMES and text.strip("-") == text
