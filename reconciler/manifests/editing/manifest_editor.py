"""Changes to the manifests of a directory.

A changed manifest is written only if it is valid. The whole directory is checked with the change,
and only new errors count, so that older errors elsewhere do not prevent a change.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from ruamel.yaml.error import MarkedYAMLError

from reconciler.manifests import manifest_files
from reconciler.manifests.checks.cross_file_checks import check_across_files
from reconciler.manifests.diagnostics import START, Diagnostic
from reconciler.manifests.directory_walk import walk
from reconciler.manifests.editing.atomic_files import replace_file
from reconciler.manifests.editing.document_texts import DeclaredDocument, documents, header
from reconciler.manifests.editing.manifest_identity import KIND, lost_manifest
from reconciler.manifests.editing.yaml_patch import Unpatchable
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_set import FileRecord, ManifestSet, load_set
from reconciler.manifests.manifest_summary import ManifestSummary, are_alike
from reconciler.manifests.summary_index import SummaryIndex
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.model.errors import CollectorError


class EditRefused(CollectorError):
    """The change was not written. `diagnostics` say where its errors are, and how to fix them."""

    reason = "EditRefused"

    def __init__(self, message: str, diagnostics: Iterable[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class AlreadyDeclared(EditRefused):
    """A collector of this name, or a file for it, exists."""

    reason = "AlreadyDeclared"


class NotDeclared(CollectorError):
    """No manifest declares a collector of this name."""

    reason = "NotFound"


class FileChange(Struct, frozen=True):
    """A file's content before and after a change of a collector's document; None: no file."""

    name: str
    path: Path
    before: bytes | None
    after: bytes | None
    last: bool = False
    """Whether no collector is declared any more."""

    def write(self) -> None:
        """Write the change. Raises ChangedMeanwhile, OSError."""
        replace_file(self.path, self.before, self.after)


class Written(Struct, frozen=True):
    """A change that was written. `after` is None if the file was removed."""

    path: Path
    after: bytes | None
    last: bool = False
    """Whether no collector is declared any more."""


class ManifestEditor:
    """The manifests of a directory, and changes to them. `manifests` are those of the directory,
    and `index` tells where each of them is, if somebody read them already."""

    def __init__(
        self,
        directory: Path,
        *,
        allow_inline_secrets: bool = False,
        manifests: ManifestSet[ParsedFile] | None = None,
        index: SummaryIndex | None = None,
    ) -> None:
        self.directory = directory
        self._given_index = index
        self._set = manifests or _read(directory, allow_inline_secrets=allow_inline_secrets)

    @property
    def manifests(self) -> ManifestSet[ParsedFile]:
        """The manifests of the directory."""
        return self._set

    def names(self) -> list[str]:
        """Return the names of all declared collectors, valid or not."""
        return sorted({one.name for one in self._index.of_kind(KIND)})

    def places(self, name: str) -> list[tuple[Path, ManifestSummary]]:
        """Return where a collector is declared: nowhere, once, or several times by mistake."""
        return [(Path(path), one) for path, one in self._index.places(KIND, name)]

    @functools.cached_property
    def _index(self) -> SummaryIndex:
        return self._given_index or SummaryIndex(
            (path, record.result) for path, record in self._set.records.items()
        )

    def declared(self, name: str) -> DeclaredDocument:
        """Return the document of a collector.

        Raises NotDeclared, or EditRefused if it is declared several times or its file is not YAML.
        """
        found = self.places(name)
        if not found:
            raise NotDeclared(f"no manifest in {self.directory} declares a collector {name!r}")
        if len(found) > 1:
            places = " and ".join(f"{path}:{one.line}" for path, one in found)
            message = f"{name} is declared in {places}: remove one of them by hand"
            raise EditRefused(message, [_at_name(one, message) for _, one in found])
        ((path, one),) = found
        return self._documents(path, [one.line])[0]

    def declared_in(self, path: Path, names: Collection[str]) -> dict[str, DeclaredDocument]:
        """Return the documents of these collectors, as `declared` does: of those that are declared
        in this file and nowhere else. The file is read once. Raises EditRefused."""
        found = {name: self.places(name) for name in names}
        lines = {
            name: places[0][1].line
            for name, places in found.items()
            if [place for place, _ in places] == [path]
        }
        return dict(zip(lines, self._documents(path, list(lines.values())), strict=True))

    def _documents(self, path: Path, lines: Sequence[int]) -> list[DeclaredDocument]:
        """Return the documents of a file whose roots are in these lines. Raises EditRefused."""
        try:
            data = manifest_files.read(path)
            text = text_encoding.decode(data)
            bounds = {line: (start, end) for line, start, end in documents(text)}
            return [DeclaredDocument(path, data, text, *bounds[line]) for line in lines]
        except manifest_files.Unreadable as error:
            message = f"{path} cannot be read any more: {error}"
            unread = Diagnostic.error(str(path), START, "", error.rule, message)
            raise EditRefused(message, [unread]) from error
        except (UnusableDocument, MarkedYAMLError, KeyError):
            raise EditRefused(
                f"{path} is not YAML throughout: fix it by hand", self._errors_of(path)
            ) from None

    def change(self, name: str, edit: Callable[[str], str]) -> Written | None:
        """Change a collector's document. Return None if nothing is different. Raises NotDeclared,
        EditRefused and OSError."""
        change = self.edited(name, edit)
        if change.after == change.before or change.after is None:
            return None
        self.require_valid(change.path, change.after, name)
        change.write()
        return Written(change.path, change.after)

    def edited(self, name: str, edit: Callable[[str], str]) -> FileChange:
        """Return the change of a collector's document; nothing is checked. Raises NotDeclared and
        EditRefused."""
        found = self.declared(name)
        try:
            after = found.with_own(edit(found.own))
        except Unpatchable as error:
            raise EditRefused(str(error), self._errors_of(found.path)) from error
        except UnusableDocument as error:
            raise EditRefused(
                f"{found.path} cannot be read on from line {error.position.line}: {error.message}",
                [Diagnostic.error(str(found.path), error.position, "", error.rule, error.message)],
            ) from error
        except UnicodeEncodeError as error:
            raise not_utf8(str(found.path)) from error
        return FileChange(name, found.path, found.data, after)

    def add(self, name: str, content: bytes) -> Written:
        """Write a file for a new collector. Raises EditRefused and OSError."""
        path = self.require_new(name, content)
        replace_file(path, None, content)
        return Written(path, content)

    def require_new(self, name: str, content: bytes) -> Path:
        """Return the path for a new collector's manifest. Raises EditRefused if it would be
        invalid."""
        if places := self.places(name):
            message = (
                f"{name} is declared already, in {places[0][0]}: `mailcollector edit "
                f"{name}` changes it"
            )
            raise AlreadyDeclared(message, [_at_name(places[0][1], message)])
        path = self.directory / f"{name}.yaml"
        if os.path.lexists(path):
            raise AlreadyDeclared(
                f"{path} exists already: take another name, or put this manifest into it by hand"
            )
        self.require_valid(path, content, name)
        return path

    def remove(self, name: str) -> Written:
        """Remove a collector's document, and its file if that has no other document. Raises
        NotDeclared, EditRefused and OSError."""
        change = self.removed(name)
        change.write()
        return Written(change.path, change.after, change.last)

    def removed(self, name: str) -> FileChange:
        """Return the change that removes a collector's document. Raises NotDeclared and
        EditRefused."""
        found = self.declared(name)
        if len(documents(found.text)) == 1:
            after = None
        else:
            after = found.with_own(
                header(found.own, found.text[found.end :]) if found.start == 0 else ""
            )
        return FileChange(
            name, found.path, found.data, after, last=not self._index.has_other(KIND, name)
        )

    def require_valid(self, path: Path, data: bytes, *names: str) -> None:
        """Raise EditRefused unless the content is valid at `path` and declares these collectors."""
        before, changed = self._overlaid({str(path): data})
        after = changed.records[str(path)].result
        errors = self._new_errors(before, changed)
        there = {one.name for one in after.manifests if one.kind == KIND}
        lost = next((name for name in names if name not in there), None)
        if not errors and lost is not None:
            errors = [found for found in after.diagnostics if found.is_error]
            if not errors:
                raise EditRefused(
                    f"nothing was written: the manifest must stay the {KIND} {lost}",
                    [lost_manifest(str(path), lost)],
                )
        if errors:
            raise EditRefused("nothing was written: the result would be invalid", errors)

    def require_all_valid(self, contents: Mapping[Path, bytes]) -> None:
        """Raise EditRefused unless these files are valid in the directory."""
        errors = self._new_errors(
            *self._overlaid({str(path): data for path, data in contents.items()})
        )
        if errors:
            raise EditRefused("nothing was written: the result would be invalid", errors)

    def _overlaid(
        self, contents: Mapping[str, bytes]
    ) -> tuple[ManifestSet[ParsedFile], ManifestSet[ParsedFile]]:
        """Return the files before and after a change: all that it can concern."""
        before = self._set.near(contents)
        after = before.overlay(contents)
        if after.has_templates_of(before):
            return before, after
        return self._set, self._set.overlay(contents)

    def _new_errors(
        self, before: ManifestSet[ParsedFile], after: ManifestSet[ParsedFile]
    ) -> list[Diagnostic]:
        """Return the errors of `after` that are not in `before`."""
        old, new = before.records, after.records
        names = [name for name in {**old, **new} if old.get(name) is not new.get(name)]
        then = [old[name].result for name in names if name in old]
        now = [new[name].result for name in names if name in new]
        known, found = _errors(then), _errors(now)
        concerned = [*_named(then), *_named(now)]
        if not are_alike(_named(then), _named(now)):
            others = self._beside(concerned).keys() - set(names)
            same = [self._set.records[name].result for name in others]
            known += _errors_across([*same, *then])
            found += _errors_across([*same, *now])
        left = Counter(map(_identity, known))
        errors = []
        for one in found:
            left[_identity(one)] -= 1
            if left[_identity(one)] < 0:
                errors.append(one)
        return errors

    def _errors_of(self, path: Path) -> list[Diagnostic]:
        parsed = self._set.records[str(path)].result
        return [found for found in parsed.diagnostics if found.is_error]

    def _beside(self, concerned: Iterable[ManifestSummary]) -> Mapping[str, FileRecord[ParsedFile]]:
        """Return the files in which errors can come and go with these manifests."""
        identities = {(one.kind, one.name) for one in concerned}
        if any(kind != KIND for kind, _ in identities):
            return self._set.records
        return self._set.only(self._index.beside(identities)).records


def not_utf8(file: str, path: str = "") -> EditRefused:
    """Return the refusal of a text that is half of a surrogate pair (RFC 8259, section 8.2)."""
    message = "this text is not UTF-8: write whole characters"
    return EditRefused(
        "nothing was written: the text is not UTF-8",
        [Diagnostic.error(file, START, path, "not-utf8", message)],
    )


def _at_name(found: ManifestSummary, message: str) -> Diagnostic:
    """Return an error at the place where a manifest says its name."""
    place, path = found.marks["metadata.name"], "metadata.name"
    return Diagnostic.error(place.file or found.file, place, path, "duplicate-name", message)


def _read(directory: Path, *, allow_inline_secrets: bool) -> ManifestSet[ParsedFile]:
    found = walk(directory)
    return load_set(
        found.files, allow_inline_secrets=allow_inline_secrets, special_paths=found.special_paths
    )


def _errors(every: Iterable[ParsedFile]) -> list[Diagnostic]:
    return [diagnostic for file in every for diagnostic in file.diagnostics if diagnostic.is_error]


def _named(every: Iterable[ParsedFile]) -> Iterable[ManifestSummary]:
    return (one for file in every for one in file.named())


def _errors_across(files: Iterable[ParsedFile]) -> Iterable[Diagnostic]:
    diagnostics = check_across_files(files, only_errors=True).diagnostics
    return (found for found in diagnostics if found.is_error)


def _identity(found: Diagnostic) -> tuple[str, str, str, str]:
    """Return what identifies an error when lines move."""
    return found.file, found.path, found.rule, found.message
