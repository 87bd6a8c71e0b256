"""Observing: what the manifests' directory holds. A file is read again only if its stat signature
has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.declared_files import DeclaredFile, declared_file
from reconciler.control.git_revision import git_head
from reconciler.control.removal_grace import RemovalGrace
from reconciler.manifests.checks.cross_file_checks import CrossFileResult, check_across_files
from reconciler.manifests.diagnostics import Diagnostic, Severity, in_order
from reconciler.manifests.directory_walk import DirectoryVanished, SpecialPaths, walk
from reconciler.manifests.loading import Broken as BrokenDocument
from reconciler.manifests.loading import Loaded, ParsedFile
from reconciler.manifests.manifest_files import (
    Identity,
    Unreadable,
    displayed,
    read,
    signature,
)
from reconciler.manifests.manifest_set import Content, FileRecord, ManifestSet
from reconciler.manifests.manifest_summary import ManifestSummary, are_alike
from reconciler.manifests.summary_index import SummaryIndex
from reconciler.model.manifest_policy import allowed, require_apart
from reconciler.planning.observed_manifests import BrokenManifest, Key, ObservedManifests

CONFIRMATION = ".allow-empty"
"""A file of this name in the directory says that no collector at all is meant."""
REROUTE = ".allow-reroute"
"""A file of this name confirms that mail goes to another default Destination than before."""


class Observation(Struct, frozen=True):
    """What one look at the directory found.

    `changed`: something differs from the look before. `place`: the directories that were listed.
    `elsewhere`: links that lead out of them, and the files that hold the revision. `pause`: seconds
    until the next look.
    """

    observed: ObservedManifests
    diagnostics: tuple[Diagnostic, ...]
    revision: str | None
    place: frozenset[Identity]
    elsewhere: frozenset[Path]
    changed: bool
    pause: float = float("inf")

    def confirming(self, rerouting: str) -> Observation:
        """Return the same, with the held change of the default Destination confirmed that has this
        reason; "" for none."""
        if not rerouting:
            return self
        return replace(self, observed=replace(self.observed, confirmed_rerouting=rerouting))


_Record = FileRecord[DeclaredFile]


class ManifestDirectory:
    """The manifests below `root`. Its methods block; call one at a time.

    `allow_empty`: if the first look finds no collector, that is intended; it covers no later look.
    `grace`: see `RemovalGrace`.
    """

    def __init__(
        self,
        root: Path,
        *,
        allow_inline_secrets: bool = False,
        allow_empty: bool = False,
        grace: float = 0.0,
    ) -> None:
        # resolve() would follow links that are swapped later
        self.root = Path(os.path.abspath(root))  # noqa: PTH100
        require_apart(allowed(), self.root)
        self._allow_empty = allow_empty
        self._set = ManifestSet(declared_file, allow_inline_secrets=allow_inline_secrets)
        self._index = self._set, SummaryIndex(())
        self._last: Observation | None = None
        self._across_files: CrossFileResult | None = None
        """The result of the rules across files, of the last look."""
        self._hidden = False
        """Whether that result allows for a Destination that cannot be seen."""
        self._leaving = RemovalGrace(grace)
        self._leading_out: set[Path] = set()
        self._special_paths = SpecialPaths(os.path.realpath(self.root))

    @property
    def manifests(self) -> ManifestSet[DeclaredFile]:
        """The files of the last look. They may be read in any thread."""
        return self._set

    def is_declared(self, key: Key) -> bool:
        """Return whether a manifest of this kind and name was there at the last look, valid or
        not."""
        return key in self._indexed()

    def of_kind(self, kind: str) -> list[ManifestSummary]:
        """Return the manifests of a kind, valid or not, as of the last look, by their names."""
        return self._indexed().of_kind(kind)

    def observe_with(
        self, contents: Mapping[str, bytes | None], *, near: str | None = None
    ) -> ObservedManifests:
        """Return the result of a look with these contents of files (None: no file), and with all
        others as at the last look. `near`: only what decides about this collector, and about those
        in the same files. May be called in any thread."""
        known = self._set
        if near is not None:
            beside = self._indexed().beside([("MailCollector", near)])
            known = known.near({*contents, *beside})
        before = known.records
        found: dict[str, _Record | Content] = {
            name: one for name, one in before.items() if contents.get(name, b"") is not None
        }
        found |= {name: Content(data) for name, data in contents.items() if data is not None}
        files, last, together = known.refresh(found).records, self._last, self._across_files
        if near or together is None or together.diagnostics or not _alike(before, files):
            together = _across_files(files, hidden=self._hidden, only_errors=True)
        confirmed = (
            (last.observed.empty_confirmed, last.observed.reroute_confirmed)
            if last
            else (False, False)
        )
        return _observed(files, together, frozenset(), confirmed=confirmed)[0]

    def _indexed(self) -> SummaryIndex:
        """Return the index of the files of the last look. It is made when it is first needed."""
        known, index = self._index
        if known is not self._set:
            known = self._set
            index = SummaryIndex((name, one.result) for name, one in known.records.items())
            self._index = known, index
        return index

    def observe(
        self, *, everything: bool = False, only: Collection[str] | None = None
    ) -> Observation:
        """Return what is there now. `everything`: read every file, whatever its signature. `only`:
        the files that can have changed, as far as is known."""
        if only is not None and not everything and (files := self._refreshed(only)) is not None:
            return self._compare(files, self._last.place if self._last else frozenset())
        try:
            found = walk(self.root)
        except DirectoryVanished as error:
            return self._done(_vanished(self.root, str(error)), frozenset())
        self._special_paths = found.special_paths
        seen = {str(path): self._file(path, everything=everything) for path in found.files}
        return self._compare(self._set.refresh(seen), found.entered)

    def _refreshed(self, names: Collection[str]) -> ManifestSet[DeclaredFile] | None:
        """Return all files, with these read anew where they changed. Return None where that is not
        enough, because one of them is unknown or gone."""
        if (
            self._last is None
            or self._last.observed.vanished
            or not self._set.records.keys() >= set(names)
        ):
            return None
        found = {name: self._file(Path(name), everything=False) for name in names}
        if any(isinstance(one, FileRecord) and one.result.unreadable for one in found.values()):
            return None
        return self._set.refresh({**self._set.records, **found})

    def _compare(self, now: ManifestSet[DeclaredFile], place: frozenset[Identity]) -> Observation:
        before, files = self._set.records, now.records
        confirmed = (
            # os.path.exists never raises
            self._allow_empty or os.path.exists(self.root / CONFIRMATION),  # noqa: PTH110
            os.path.exists(self.root / REROUTE),  # noqa: PTH110
        )
        self._allow_empty = False
        last = self._last
        same = (
            last is not None
            and not last.observed.vanished
            and files.keys() == before.keys()
            and all(files[name] is before[name] for name in files)
        )
        if not same:
            self._set = now
        leaving: frozenset[Key] = frozenset()
        if self._leaving or not same:
            # keys() is a method of DeclaredFile, which is no mapping
            present = {key for one in files.values() for key in one.result.keys()}  # noqa: SIM118
            leaving = self._leaving.look(present, changed=not same)
        if (
            same
            and last is not None
            and (
                last.observed.empty_confirmed,
                last.observed.reroute_confirmed,
                last.observed.leaving,
            )
            == (*confirmed, leaving)
        ):
            return self._done((last.observed, last.diagnostics), place)
        hidden = any(kind == "Destination" for kind, _ in leaving)
        if (
            self._across_files is None
            or self._across_files.diagnostics
            or hidden != self._hidden
            or not _alike(before, files)
        ):
            self._across_files, self._hidden = _across_files(files, hidden=hidden), hidden
        return self._done(_observed(files, self._across_files, leaving, confirmed=confirmed), place)

    def _done(
        self, found: tuple[ObservedManifests, tuple[Diagnostic, ...]], place: frozenset[Identity]
    ) -> Observation:
        observed, diagnostics = found
        stands = git_head(self.root)
        last = self._last
        changed = last is None or (last.observed, last.diagnostics, last.revision) != (
            observed,
            diagnostics,
            stands.commit,
        )
        elsewhere = stands.files.union(
            path for path in self._leading_out if str(path) in self._set.records
        )
        self._last = Observation(
            observed, diagnostics, stands.commit, place, elsewhere, changed, self._leaving.pause
        )
        return self._last

    def _file(self, path: Path, *, everything: bool) -> _Record | Content:
        known = self._set.records.get(str(path))
        seen = signature(path)
        if known and seen is not None and known.signature == seen and not everything:
            return known
        try:
            outside = self._special_paths.leads_outside(path)
            (self._leading_out.add if outside else self._leading_out.discard)(path)
            self._special_paths.require_allowed(path)
            data = read(path)
        except Unreadable as error:
            now = self._set.unreadable(path, error)
            now.result = replace(now.result, unreadable=f"{displayed(path)}: {error}")
            return known if known and known.result == now.result else now
        digest = hashlib.sha256(data).digest()
        if known and known.digest == digest and known.outside == outside:
            known.signature = seen
            return known
        return Content(data, seen, digest, outside)


def _vanished(root: Path, error: str) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    message = f"the directory of manifests vanished, so everything runs on as it was: {error}"
    diagnostic = Diagnostic(str(root), 1, 1, "", "directory-vanished", Severity.ERROR, message)
    return ObservedManifests(vanished=message), (diagnostic,)


def _alike(before: Mapping[str, _Record], now: Mapping[str, _Record]) -> bool:
    """Return whether the rules across files have the same result for both, provided that they found
    nothing before."""
    return before.keys() == now.keys() and all(
        are_alike(old.result.named(), new.result.named())
        and _may_hide_a_destination(old.result.parsed) == _may_hide_a_destination(new.result.parsed)
        for old, new in ((before[name], now[name]) for name in now)
        if old is not new
    )


def _across_files(
    files: Mapping[str, _Record], *, hidden: bool, only_errors: bool = False
) -> CrossFileResult:
    """Return the result of the rules across files. `hidden`: a Destination may exist that cannot be
    seen now."""
    parsed = [one.result.parsed for one in files.values()]
    return check_across_files(
        parsed,
        whole=not hidden and not any(_may_hide_a_destination(file) for file in parsed),
        only_errors=only_errors,
    )


def _observed(
    files: Mapping[str, _Record],
    together: CrossFileResult,
    leaving: frozenset[Key],
    *,
    confirmed: tuple[bool, bool],
) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    parsed = [one.result.parsed for one in files.values()]
    diagnostics = in_order(
        [*(found for file in parsed for found in file.diagnostics), *together.diagnostics]
    )
    errors = _errors(diagnostics)
    broken = [_broken(one, errors) for file in parsed for one in file.broken]
    if refused := together.refused:
        broken += [
            _broken(one, errors)
            for file in parsed
            for one in file.manifests
            if (one.kind, one.name) in refused
        ]
    observed = ObservedManifests(
        declarations=tuple(
            found
            for one in files.values()
            for found in one.result.declarations
            if not refused or found.key not in refused
        ),
        broken=tuple(broken),
        unreadable={
            name: one.result.unreadable for name, one in files.items() if one.result.unreadable
        },
        unclear={
            name: _first(errors.get(name, ()), 1)
            for name, one in files.items()
            if _is_unclear(one.result)
        },
        empty_confirmed=confirmed[0],
        reroute_confirmed=confirmed[1],
        leaving=leaving,
    )
    return observed, tuple(diagnostics)


def _is_unclear(file: DeclaredFile) -> bool:
    """Return whether the manifests that the file held before may still be intended. An empty file
    may be one that is just being written."""
    empty = not file.parsed.manifests and not file.parsed.broken and not file.parsed.templates
    return not file.unreadable and (empty or not file.parsed.complete)


def _may_hide_a_destination(file: ParsedFile) -> bool:
    """Return whether a Destination may exist that cannot be seen in this file. Planning then uses
    its last good version."""
    return not file.complete or any(one.kind == "Destination" for one in file.broken)


def _errors(diagnostics: Iterable[Diagnostic]) -> dict[str, list[Diagnostic]]:
    """Return the errors by file, in the order of their lines."""
    errors: dict[str, list[Diagnostic]] = {}
    for found in diagnostics:
        if found.is_error:
            errors.setdefault(found.file, []).append(found)
    return errors


def _broken(one: BrokenDocument | Loaded, errors: Mapping[str, list[Diagnostic]]) -> BrokenManifest:
    return BrokenManifest(
        one.kind, one.name, one.file, one.line, _first(errors.get(one.file, ()), one.line)
    )


def _first(errors: Iterable[Diagnostic], line: int) -> str:
    """Return the first error at or after this line, as a text."""
    found = next((error for error in errors if error.line >= line), None)
    return (
        f"{found.file}:{found.line}:{found.column}: {found.message}"
        if found
        else "the manifest is invalid"
    )
