"""Drafts: what a change of a collector's manifest would write, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from ruamel.yaml.error import YAMLError

from reconciler.manifests.diagnostics import START, Diagnostic, dotted, in_order
from reconciler.manifests.editing.document_changes import (
    half_character,
    in_place_of,
    plain_data,
    with_data,
    with_enabled,
    without_nulls,
)
from reconciler.manifests.editing.inline_secrets import (
    SecretHidden,
    digest,
    hide_secrets,
    hide_secrets_in_data,
    restore_secrets,
)
from reconciler.manifests.editing.manifest_editor import (
    AlreadyDeclared,
    EditRefused,
    FileChange,
    ManifestEditor,
    not_utf8,
)
from reconciler.manifests.editing.manifest_identity import KIND, identity_errors, place_of_name
from reconciler.manifests.editing.modeline import modeline_for
from reconciler.manifests.editing.new_manifests import manifest_text
from reconciler.manifests.editing.unified_diff import unified_diff
from reconciler.manifests.editing.yaml_patch import Unpatchable
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.model.errors import CollectorError
from reconciler.model.scalar_types import is_name

EtagCondition = Callable[[str], bool]
"""Takes the ETag of the present document; returns whether the change may be made."""
UNNAMED = "unnamed.yaml"
"""The file that the diagnostics of a new manifest name, where it has no name."""
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
    """The removal of a collector's document."""

    name: str


class SwitchManifest(Struct, frozen=True):
    """The change of `enabled` in a collector's document."""

    name: str
    enabled: bool


ManifestChange = CreateManifest | ReplaceManifest | DeleteManifest | SwitchManifest


class ManifestOutdated(CollectorError):
    """The document was changed since the client read it. `etag` is that of now."""

    reason = "PreconditionFailed"

    def __init__(self, message: str, etag: str = "") -> None:
        super().__init__(message)
        self.etag = etag


class HiddenSecretSent(EditRefused):
    """A manifest comes with what is shown instead of a secret, and there is no secret for it."""

    reason = "SecretHidden"


class DeclaredManifest(Struct, frozen=True):
    """A collector's document as it is declared, with inline secrets hidden. `etag` identifies its
    exact text, without quotation marks."""

    name: str
    path: Path
    text: str
    data: Mapping[str, Any]
    etag: str


class ManifestDraft(Struct, frozen=True):
    """A change before it is written. `problem` and `diagnostics`: why it will not be. `before`
    is None for a new collector. `after` is None for one that is deleted, and where the result is
    no YAML."""

    change: FileChange
    verb: str
    before: DeclaredManifest | None
    after: DeclaredManifest | None
    diff: str
    relative: str
    """The file's path from the manifests' directory on."""
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


def declared_manifest(editor: ManifestEditor, name: str) -> DeclaredManifest:
    """Return a collector's document. Raises NotDeclared and EditRefused."""
    found = editor.declared(name)
    return shown_manifest(name, found.path, found.own)


def draft(
    editor: ManifestEditor, asked: ManifestChange, expected: EtagCondition | None
) -> ManifestDraft:
    """Return what a change would write. `expected` says whether the present document's ETag is one
    that the client expects; None: it may be any. Raises NotDeclared, ManifestOutdated, and
    EditRefused where there is no result at all."""
    file = _file(editor, asked)
    try:
        if isinstance(asked, CreateManifest):
            return _creation(editor, asked.content)
        before = declared_manifest(editor, asked.name)
        if expected is not None and not expected(before.etag):
            raise ManifestOutdated(
                f"the manifest of {asked.name} was changed meanwhile: look at it again", before.etag
            )
        return _change(editor, asked, before)
    except SecretHidden as error:
        path = dotted(error.keys)
        found = Diagnostic.error(file, error.position, path, "inline-secret", str(error))
        raise HiddenSecretSent(str(error), [found]) from error
    except (Unpatchable, UnusableDocument) as error:
        position, rule = (
            (error.position, error.rule)
            if isinstance(error, UnusableDocument)
            else (START, "syntax")
        )
        found = Diagnostic.error(file, position, "", rule, str(error))
        raise EditRefused(f"nothing was written: {error}", [found]) from error
    except UnicodeEncodeError as error:
        content = None if isinstance(asked, DeleteManifest | SwitchManifest) else asked.content
        raise not_utf8(file, dotted(half_character(content) or ())) from error


def verb_of(asked: ManifestChange) -> str:
    """Return the verb of a change, as drafts and logs have it."""
    if isinstance(asked, SwitchManifest):
        return "enable" if asked.enabled else "disable"
    return {CreateManifest: "create", ReplaceManifest: "replace", DeleteManifest: "delete"}[
        type(asked)
    ]


def _file(editor: ManifestEditor, asked: ManifestChange) -> str:
    """Return the file that a change is about, for its diagnostics."""
    places = [] if isinstance(asked, CreateManifest) else editor.places(asked.name)
    return str(places[0][0] if places else editor.directory / UNNAMED)


def _creation(editor: ManifestEditor, content: Content) -> ManifestDraft:
    if isinstance(content, str):
        _require_text(content, str(editor.directory / UNNAMED))
    else:
        content = manifest_text(without_nulls(content), modeline=modeline_for(editor.directory))
    if errors := identity_errors(content, str(editor.directory / UNNAMED)):
        raise EditRefused(_refusal(errors), errors)
    name = _name(content)
    path = editor.directory / f"{name}.yaml" if name else editor.directory / UNNAMED
    if places := editor.places(name):
        declared = places[0][0]
        message = (
            f"{name} is declared already, in {declared}: take another name, or change that manifest"
        )
        raise _taken(content, path, message)
    if name and os.path.lexists(path):
        message = f"{path} exists already: take another name, or put this manifest into it by hand"
        raise _taken(content, path, message)
    text = restore_secrets(content, None) if name else content
    return _checked(editor, FileChange(name, path, None, text.encode()), "create", None, text)


def _taken(content: str, path: Path, message: str) -> AlreadyDeclared:
    position, keys = place_of_name(content)
    found = Diagnostic.error(str(path), position, keys, "duplicate-name", message)
    return AlreadyDeclared(message, [found])


def _change(
    editor: ManifestEditor,
    asked: ReplaceManifest | DeleteManifest | SwitchManifest,
    before: DeclaredManifest,
) -> ManifestDraft:
    if isinstance(asked, DeleteManifest):
        change = editor.removed(asked.name)
        return ManifestDraft(change, verb_of(asked), before, None, *_difference(editor, change))
    own, verb = _result(editor, asked, before), verb_of(asked)
    change = editor.edited(asked.name, lambda _: own)
    return _checked(editor, change, verb, before, own, marked=_is_marked_anew(asked, own))


def _result(
    editor: ManifestEditor, asked: ReplaceManifest | SwitchManifest, before: DeclaredManifest
) -> str:
    """Return the document's text with the change. Raises Unpatchable, UnusableDocument."""
    own = editor.declared(asked.name).own
    if isinstance(asked, SwitchManifest):
        return with_enabled(own, enabled=asked.enabled)
    if not isinstance(asked.content, str):
        return restore_secrets(with_data(own, asked.content), own)
    _require_text(asked.content, str(before.path))
    text = in_place_of(own, asked.content)
    try:
        return restore_secrets(text, own)
    except UnusableDocument:  # the check says more
        return text


def _checked(
    editor: ManifestEditor,
    change: FileChange,
    verb: str,
    before: DeclaredManifest | None,
    own: str,
    *,
    marked: bool = False,
) -> ManifestDraft:
    """Return the draft with what is wrong with its result. `marked`: a line `---` stands before
    the text that somebody sent."""
    diagnostics = identity_errors(own, str(change.path), change.name)
    problem, ahead = _refusal(diagnostics, change.name) if diagnostics else "", int(marked)
    if not problem:
        try:
            editor.require_valid(change.path, change.after or b"", change.name)
        except EditRefused as refused:
            problem, diagnostics = str(refused), tuple(in_order(refused.diagnostics))
            ahead += _lines_ahead(editor, change.name) if before else 0
    try:
        after = shown_manifest(change.name, change.path, own)
        diff, relative = _difference(editor, change)
    except (EditRefused, YAMLError, UnusableDocument):
        after, diff, relative = None, "", ""
    diagnostics = tuple(_from_its_start(one, change.path, ahead) for one in diagnostics)
    return ManifestDraft(change, verb, before, after, diff, relative, problem, diagnostics)


def _is_marked_anew(asked: ReplaceManifest | SwitchManifest, own: str) -> bool:
    """Return whether the text got a `---` that the one that was sent does not have."""
    sent = asked.content if isinstance(asked, ReplaceManifest) else None
    return isinstance(sent, str) and own.startswith("---\n") and not sent.startswith("---\n")


def _refusal(errors: Sequence[Diagnostic], name: str = "") -> str:
    """Return why a text is not written that is not the one manifest of `name`."""
    if errors[0].rule == "several-manifests":
        return "nothing was written: give one manifest, in one YAML document"
    if not name:
        return "nothing was written: the manifest must be that of a MailCollector"
    return f"nothing was written: the manifest must stay the {KIND} {name}"


def _lines_ahead(editor: ManifestEditor, name: str) -> int:
    """Return how many lines of the file stand before a collector's document."""
    found = editor.declared(name)
    return found.text[: found.start].count("\n")


def _from_its_start(found: Diagnostic, path: Path, ahead: int) -> Diagnostic:
    """Return a diagnostic with the line as it is counted from the document's start."""
    if found.file != str(path) or found.line <= ahead:
        return found
    return replace(found, line=found.line - ahead)


def _require_text(content: str, file: str) -> None:
    """Raise EditRefused where the text has characters that no manifest may have."""
    try:
        text_encoding.decode(content.encode())
    except UnusableDocument as error:
        raise EditRefused(
            f"nothing was written: {error.message}",
            [Diagnostic.error(file, error.position, "", error.rule, error.message)],
        ) from error


def shown_manifest(name: str, path: Path, own: str) -> DeclaredManifest:
    try:
        return DeclaredManifest(
            name, path, hide_secrets(own), hide_secrets_in_data(plain_data(own)), digest(own)
        )
    except (YAMLError, UnusableDocument) as error:
        message = f"{path} is not YAML throughout: fix it by hand"
        raise EditRefused(
            message, [Diagnostic.error(str(path), START, "", "syntax", message)]
        ) from error


def _difference(editor: ManifestEditor, change: FileChange) -> tuple[str, str]:
    """Return the difference of the file, with inline secrets hidden, and its relative path."""
    before, after = (
        None if data is None else hide_secrets(text_encoding.decode(data))
        for data in (change.before, change.after)
    )
    relative = os.path.relpath(change.path, editor.directory)
    return unified_diff(before, after, relative), relative


def _name(text: str) -> str:
    """Return the name that a manifest declares; "" where it has none that may be a file's."""
    try:
        data = plain_data(text)
    except UnusableDocument:
        return ""
    metadata = data.get("metadata") if isinstance(data, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and is_name(name) else ""
