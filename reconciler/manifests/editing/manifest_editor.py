"""Changes to the manifests of a directory.

A changed manifest is written only if it is valid. The whole directory is checked with the change,
and only new errors count, so that older errors elsewhere do not prevent a change.
"""

from __future__ import annotations

import codecs
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

# from a compiled module without types
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, NodeEvent, StreamEndEvent

from reconciler.manifests import manifest_files
from reconciler.manifests.checks.cross_file_checks import check_across_files
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.directory_walk import walk
from reconciler.manifests.editing.atomic_files import replace_file
from reconciler.manifests.editing.modeline import is_modeline
from reconciler.manifests.editing.yaml_patch import Unspliceable
from reconciler.manifests.loading import ParsedFile
from reconciler.manifests.manifest_set import ManifestSet, load_set
from reconciler.manifests.manifest_summary import ManifestSummary
from reconciler.manifests.yaml import text_encoding
from reconciler.manifests.yaml.document_nodes import Unusable
from reconciler.model.errors import CollectorError

KIND = "MailCollector"


class EditRefused(CollectorError):
    """The change was not written. `diagnostics` are the errors of the result."""

    reason = "EditRefused"

    def __init__(self, message: str, diagnostics: Iterable[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class NotDeclared(CollectorError):
    """No manifest declares a collector of this name."""

    reason = "NotFound"


class DeclaredDocument(Struct, frozen=True):
    """The document of a collector: `text[start:end]` of a file with the content `data`."""

    path: Path
    data: bytes
    text: str
    start: int
    end: int

    @property
    def own(self) -> str:
        """Return the document's text."""
        return self.text[self.start : self.end]

    def with_own(self, own: str) -> bytes:
        """Return the file's content with another text of the document."""
        mark = codecs.BOM_UTF8 if self.data.startswith(codecs.BOM_UTF8) else b""
        return mark + (self.text[: self.start] + own + self.text[self.end :]).encode()


class Written(Struct, frozen=True):
    """A change that was written. `after` is None if the file was removed."""

    path: Path
    after: bytes | None
    last: bool = False
    """Whether no collector is declared any more."""


class Shelf:
    """The manifests of a directory, and changes to them."""

    def __init__(self, directory: Path, *, allow_inline_secrets: bool = False) -> None:
        self.directory = directory
        found = walk(directory)
        self._set = load_set(
            found.files, allow_inline_secrets=allow_inline_secrets, oddities=found.oddities
        )

    def names(self) -> list[str]:
        """Return the names of all declared collectors, valid or not."""
        return sorted({one.name for _, one in self._collectors()})

    def declared(self, name: str) -> DeclaredDocument:
        """Return the document of a collector.

        Raises NotDeclared, or EditRefused if it is declared several times or its file is not YAML.
        """
        found = [(path, one) for path, one in self._collectors() if one.name == name]
        if not found:
            raise NotDeclared(f"no manifest in {self.directory} declares a collector {name!r}")
        if len(found) > 1:
            places = " and ".join(f"{path}:{one.line}" for path, one in found)
            raise EditRefused(f"{name} is declared in {places}: remove one of them by hand")
        ((path, one),) = found
        try:
            data = manifest_files.read(path)
            text = text_encoding.decode(data)
            start, end = next(place[1:] for place in _documents(text) if place[0] == one.line)
        except manifest_files.Unreadable as error:
            raise EditRefused(f"{path} cannot be read any more: {error}") from error
        except (Unusable, MarkedYAMLError, StopIteration):
            raise EditRefused(
                f"{path} is not YAML throughout: fix it by hand",
                self._set.records[str(path)].result.diagnostics,
            ) from None
        return DeclaredDocument(path, data, text, start, end)

    def change(self, name: str, edit: Callable[[str], str]) -> Written | None:
        """Change a collector's document. Return None if nothing is different. Raises NotDeclared,
        EditRefused and OSError."""
        found = self.declared(name)
        try:
            after = found.with_own(edit(found.own))
        except Unspliceable as error:
            raise EditRefused(str(error), self._errors_of(found.path)) from error
        except Unusable as error:
            raise EditRefused(
                f"{found.path} cannot be read on from line {error.position.line}: {error.message}",
                self._errors_of(found.path),
            ) from error
        except UnicodeEncodeError as error:
            raise EditRefused("nothing was written: the text is not UTF-8") from error
        if after == found.data:
            return None
        self.require_valid(found.path, after, name)
        replace_file(found.path, found.data, after)
        return Written(found.path, after)

    def add(self, name: str, content: bytes) -> Written:
        """Write a file for a new collector. Raises EditRefused and OSError."""
        path = self.require_new(name, content)
        replace_file(path, None, content)
        return Written(path, content)

    def require_new(self, name: str, content: bytes) -> Path:
        """Return the path for a new collector's manifest. Raises EditRefused if it would be
        invalid."""
        path = self.directory / f"{name}.yaml"
        if name in self.names():
            raise EditRefused(
                f"{name} is declared already, in {self.declared(name).path}: `mailcollector edit "
                f"{name}` changes it"
            )
        self.require_valid(path, content, name)
        return path

    def remove(self, name: str) -> Written:
        """Remove a collector's document, and its file if that has no other document. Raises
        NotDeclared, EditRefused and OSError."""
        found = self.declared(name)
        if len(list(_documents(found.text))) == 1:
            after = None
        else:
            after = found.with_own(
                _header(found.own, found.text[found.end :]) if found.start == 0 else ""
            )
        replace_file(found.path, found.data, after)
        return Written(found.path, after, last=self.names() == [name])

    def require_valid(self, path: Path, data: bytes, name: str) -> None:
        """Raise EditRefused unless the content is valid at `path` and declares `name`."""
        changed = self._set.overlay({str(path): data})
        after = changed.records[str(path)].result
        errors = self._new_errors(changed)
        if not errors and not any(one.name == name and one.kind == KIND for one in after.manifests):
            errors = [found for found in after.diagnostics if found.is_error]
            if not errors:
                raise EditRefused(f"nothing was written: the manifest must stay the {KIND} {name}")
        if errors:
            raise EditRefused("nothing was written: the result would be invalid", errors)

    def require_all_valid(self, contents: Mapping[Path, bytes]) -> None:
        """Raise EditRefused unless these files are valid in the directory."""
        errors = self._new_errors(
            self._set.overlay({str(path): data for path, data in contents.items()})
        )
        if errors:
            raise EditRefused("nothing was written: the result would be invalid", errors)

    def _new_errors(self, after: ManifestSet[ParsedFile]) -> list[Diagnostic]:
        """Return the errors of `after` that do not exist yet."""
        before = Counter(map(_identity, _errors(self._set.results)))
        errors = []
        for found in _errors(after.results):
            before[_identity(found)] -= 1
            if before[_identity(found)] < 0:
                errors.append(found)
        return errors

    def _errors_of(self, path: Path) -> list[Diagnostic]:
        parsed = self._set.records[str(path)].result
        return [found for found in parsed.diagnostics if found.is_error]

    def _collectors(self) -> Iterable[tuple[Path, ManifestSummary]]:
        return (
            (Path(path), one)
            for path, record in self._set.records.items()
            for one in record.result.named()
            if one.kind == KIND
        )


def _errors(every: list[ParsedFile]) -> list[Diagnostic]:
    found = [diagnostic for file in every for diagnostic in file.diagnostics]
    return [
        diagnostic
        for diagnostic in [*found, *check_across_files(every).diagnostics]
        if diagnostic.is_error
    ]


def _identity(found: Diagnostic) -> tuple[str, str, str, str]:
    """Return what identifies an error when lines move."""
    return found.file, found.path, found.rule, found.message


def _documents(text: str) -> Iterable[tuple[int, int, int]]:
    """Return each document's root line and the start and end of its text. Raises
    MarkedYAMLError."""
    roots: list[tuple[int, int]] = []
    parser, start, waiting = CParser(text.encode()), 0, False
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, DocumentStartEvent):
            start, waiting = event.start_mark.index if roots else 0, True
        elif waiting and isinstance(event, NodeEvent):
            if event.end_mark.index > event.start_mark.index or getattr(event, "value", None) != "":
                roots.append((event.start_mark.line + 1, start))
            waiting = False
        elif isinstance(event, DocumentEndEvent):
            waiting = False
    ends = [start for _, start in roots[1:]] + [len(text)]
    return [(line, start, end) for (line, start), end in zip(roots, ends, strict=True)]


def _header(own: str, following: str) -> str:
    """Return the lines to keep for the file when its first document is removed.

    These are the comments before its `---`, or otherwise the schema's comment. The latter is left
    out if the next document has one.
    """
    before, marker, _ = own.partition("\n---")
    lines = before.splitlines(keepends=True)
    has_own = any(map(is_modeline, itertools.takewhile(_is_preamble, following.splitlines())))
    if marker and all(not line.strip() or line.startswith("#") for line in lines):
        return "".join(
            line
            for line in f"{before}\n".splitlines(keepends=True)
            if not (has_own and is_modeline(line))
        )
    return "" if has_own else "".join(filter(is_modeline, lines))


def _is_preamble(line: str) -> bool:
    return not line.strip() or line.startswith(("#", "---"))
