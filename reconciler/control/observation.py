"""Observing: what the manifests' directory holds. A file is read again only if its stat signature
has changed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.declared_files import DeclaredFile, declared_file
from reconciler.control.file_results import (
    across_files,
    may_hide_a_destination,
    observed_manifests,
)
from reconciler.control.git_revision import git_head
from reconciler.control.removal_grace import RemovalGrace
from reconciler.manifests.checks.cross_file_checks import CrossFileResult
from reconciler.manifests.checks.near_check import still_finds_nothing
from reconciler.manifests.diagnostics import Diagnostic, Severity
from reconciler.manifests.directory_walk import DirectoryVanished, SpecialPaths, walk
from reconciler.manifests.manifest_files import (
    Identity,
    Unreadable,
    displayed,
    read,
    signature,
)
from reconciler.manifests.manifest_set import Content, FileRecord, ManifestSet, changed_names
from reconciler.manifests.manifest_summary import ManifestSummary, are_alike
from reconciler.manifests.summary_index import SummaryIndex
from reconciler.manifests.touched_paths import touched_files
from reconciler.model.manifest_policy import allowed, require_apart
from reconciler.planning.observed_manifests import Key, ObservedManifests

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


class _SeenChange(Struct, frozen=True):
    """A changed file: its record at the last look and now; None where the file is missing."""

    name: str
    before: _Record | None
    now: _Record | None


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
        """Whether that result allows for a Destination in a file that cannot be read."""
        self._leaving = RemovalGrace(grace)
        self._present: Counter[Key] = Counter()
        """What the files of the last look declare, valid or not; how often each."""
        self._gone: set[str] = set()
        """Files that vanished while manifests are missing: they may come back."""
        self._plain: Mapping[str, Identity] = {}
        """The directories where a file's place alone tells whether a walk finds it."""
        self._leading_out: set[Path] = set()
        self._special_paths = SpecialPaths(os.path.realpath(self.root))

    @property
    def manifests(self) -> ManifestSet[DeclaredFile]:
        """The files of the last look. They may be read in any thread."""
        return self._set

    @property
    def indexed(self) -> tuple[ManifestSet[DeclaredFile], SummaryIndex]:
        """The files of the last look, and where their manifests are. May be asked for in any
        thread."""
        self._indexed()
        return self._index

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
            together = across_files(files, hidden=self._hidden, only_errors=True)
        confirmed = (
            (last.observed.empty_confirmed, last.observed.reroute_confirmed)
            if last
            else (False, False)
        )
        return observed_manifests(files, together, frozenset(), confirmed=confirmed)[0]

    def _indexed(self) -> SummaryIndex:
        """Return the index of the files of the last look. It is made when it is first needed."""
        known, index = self._index
        now = self._set
        if known is not now:
            index = reindexed(index, known, now)
            self._index = now, index
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
        self._special_paths, self._plain = found.special_paths, found.plain
        seen = {str(path): self._file(path, everything=everything) for path in found.files}
        return self._compare(self._set.refresh(seen), found.entered)

    def _refreshed(self, names: Collection[str]) -> ManifestSet[DeclaredFile] | None:
        """Return all files, with these read anew where they changed, came or went. Return None
        where only a walk can tell."""
        if self._last is None or self._last.observed.vanished:
            return None
        known = self._set.records
        touched = {*names, *self._gone} if self._leaving else set(names)
        there = touched_files(touched, known, self._plain)
        if there is None:
            if not known.keys() >= touched:
                return None
            there = dict.fromkeys(touched, True)
        found = {
            name: self._file(Path(name), everything=False) if is_there else None
            for name, is_there in there.items()
        }
        if any(isinstance(one, FileRecord) and one.result.unreadable for one in found.values()):
            return None
        return self._set.with_changes(
            {name: one for name, one in found.items() if one is not known.get(name)}
        )

    def _compare(self, now: ManifestSet[DeclaredFile], place: frozenset[Identity]) -> Observation:
        before, files = self._set.records, now.records
        confirmed = (
            # os.path.exists never raises
            self._allow_empty or os.path.exists(self.root / CONFIRMATION),  # noqa: PTH110
            os.path.exists(self.root / REROUTE),  # noqa: PTH110
        )
        self._allow_empty = False
        last = self._last
        changes = [
            _SeenChange(name, before.get(name), files.get(name))
            for name in sorted(changed_names(before, files))
        ]
        same = last is not None and not last.observed.vanished and not changes
        if not same:
            self._set = now
            self._note(changes)
        leaving: frozenset[Key] = frozenset()
        if self._leaving or not same:
            leaving = self._leaving.look(frozenset(self._present), changed=not same)
        if not self._leaving:
            self._gone.clear()
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
        together = self._across_files
        if together is None or hidden != self._hidden or not self._serves(together, changes):
            together = across_files(files, hidden=hidden)
            self._across_files, self._hidden = together, hidden
        return self._done(observed_manifests(files, together, leaving, confirmed=confirmed), place)

    def _serves(self, together: CrossFileResult, changes: Sequence[_SeenChange]) -> bool:
        """Return whether the rules across files found nothing, and find nothing after these
        changes."""
        before = [one.before.result for one in changes if one.before]
        now = [one.now.result for one in changes if one.now]
        hiding = [
            sum(may_hide_a_destination(one.parsed) for one in files) for files in (before, now)
        ]
        return (
            not together.diagnostics
            and hiding[0] == hiding[1]
            and still_finds_nothing(
                before, now, self._indexed, lambda name: self._set.records[name].result
            )
        )

    def _note(self, changes: Iterable[_SeenChange]) -> None:
        """Count what the files declare now, and note which files went."""
        for one in changes:
            if one.before:
                self._present.subtract(list(one.before.result.keys()))
            if one.now:
                self._present.update(list(one.now.result.keys()))
            (self._gone.discard if one.now else self._gone.add)(one.name)
        self._present += Counter()  # without those that are there no more

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


def reindexed(
    index: SummaryIndex, known: ManifestSet[DeclaredFile], now: ManifestSet[DeclaredFile]
) -> SummaryIndex:
    """Return the index of files, from that of an earlier look."""
    before, after = known.records, now.records
    changed = changed_names(before, after)
    if len(changed) > len(after) // 2:
        return SummaryIndex((name, one.result) for name, one in after.items())
    return index.with_changes(
        (
            name,
            before[name].result if name in before else None,
            after[name].result if name in after else None,
        )
        for name in sorted(changed)
    )


def _vanished(root: Path, error: str) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    message = f"the directory of manifests vanished, so everything runs on as it was: {error}"
    diagnostic = Diagnostic(str(root), 1, 1, "", "directory-vanished", Severity.ERROR, message)
    return ObservedManifests(vanished=message), (diagnostic,)


def _alike(before: Mapping[str, _Record], now: Mapping[str, _Record]) -> bool:
    """Return whether the rules across files have the same result for both, provided that they found
    nothing before."""
    return before.keys() == now.keys() and all(
        are_alike(old.result.named(), new.result.named())
        and may_hide_a_destination(old.result.parsed) == may_hide_a_destination(new.result.parsed)
        for old, new in ((before[name], now[name]) for name in now)
        if old is not new
    )
