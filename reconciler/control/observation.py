"""Observing: what the manifests' directory holds, read again only where a stat signature says that
it may differ."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.control.file_parsing import Parsed, parse_all
from reconciler.control.git_revision import standing
from reconciler.control.removal_grace import Leaving
from reconciler.manifests.checks.cross_file_checks import Together, check_together
from reconciler.manifests.diagnostics import Diagnostic, Severity, in_order
from reconciler.manifests.directory_walk import DirectoryVanished, Oddities, walk
from reconciler.manifests.loading import Broken as BrokenDocument
from reconciler.manifests.loading import Loaded, ParsedFile, gather, unquoted, unreadable
from reconciler.manifests.manifest_files import (
    Identity,
    Signature,
    Unreadable,
    displayed,
    read,
    signature,
)
from reconciler.manifests.manifest_summary import Named
from reconciler.manifests.templates.template_index import Templates, may_hold
from reconciler.model.manifest_policy import allowed, require_apart
from reconciler.planning.observed_manifests import (
    BrokenManifest,
    Declaration,
    Key,
    ObservedManifests,
)

CONFIRMATION = ".allow-empty"
"""A file of this name in the directory says that no collector at all is meant."""
REROUTE = ".allow-reroute"
"""The same of mail that goes to another default Destination than before."""


class Look(Struct, frozen=True):
    """One look. `changed`: something differs from the last one; `place`: the directories that were
    listed; `elsewhere`: links that lead out of them, and files that tell the revision; look again
    in `pause` seconds."""

    observed: ObservedManifests
    diagnostics: tuple[Diagnostic, ...]
    revision: str | None
    place: frozenset[Identity]
    elsewhere: frozenset[Path]
    changed: bool
    pause: float = float("inf")


class _File(Struct):
    """A file as it was last read. `signature` is None when it must be read again in any case.
    `data` is kept where it depends on templates, and `stamps` are theirs."""

    signature: Signature | None
    digest: bytes
    parsed: ParsedFile
    declarations: tuple[Declaration, ...] = ()
    unreadable: str = ""
    holds_templates: bool = False
    """Or may do so."""
    data: bytes = b""
    stamps: Mapping[str, str] = field(default_factory=dict)
    abroad: bool = False
    """It is read through a link that leads out of the directory."""

    def keys(self) -> Iterator[Key]:
        """What is declared in it, in any way."""
        yield from (found.key for found in self.declarations)
        yield from ((broken.kind, broken.name) for broken in self.parsed.broken)


class _Content(Struct, frozen=True):
    """A file that changed, not parsed yet."""

    signature: Signature | None
    digest: bytes
    data: bytes
    abroad: bool


class Directory:
    """The manifests below `root`. Blocking, one call at a time. `allow_empty`: where the first look
    finds no collector at all, that is meant; what is found later is not covered by it. `patience`:
    see `Leaving`."""

    def __init__(
        self,
        root: Path,
        *,
        allow_inline_secrets: bool = False,
        allow_empty: bool = False,
        patience: float = 0.0,
    ) -> None:
        # resolve() would follow links that are swapped later
        self.root = Path(os.path.abspath(root))  # noqa: PTH100
        require_apart(allowed(), self.root)
        self._allow_inline_secrets = allow_inline_secrets
        self._allow_empty = allow_empty
        self._files: dict[str, _File] = {}
        self._templates = Templates()
        self._last: Look | None = None
        self._together: Together | None = None
        """Of the last look; `_hidden` with it."""
        self._hidden = False
        self._leaving = Leaving(patience)
        self._leading_out: set[Path] = set()
        self._oddities = Oddities(os.path.realpath(self.root))

    def look(self, *, everything: bool = False, only: Collection[str] | None = None) -> Look:
        """What is there now. `everything`: read every file, whatever its signature; `only`: nothing
        but these files can have changed, as far as is known."""
        if only is not None and not everything and (files := self._touched(only)) is not None:
            return self._compare(files, self._last.place if self._last else frozenset())
        try:
            found = walk(self.root)
        except DirectoryVanished as error:
            return self._done(_vanished(self.root, str(error)), frozenset())
        self._oddities = found.oddities
        seen = {str(path): self._file(path, everything=everything) for path in found.files}
        return self._compare(self._parsed(seen), found.entered)

    def _touched(self, names: Collection[str]) -> dict[str, _File] | None:
        """All files, these read anew where they changed; None where that is not enough: one is not
        known, or gone."""
        if (
            self._last is None
            or self._last.observed.vanished
            or not self._files.keys() >= set(names)
        ):
            return None
        found = {name: self._file(Path(name), everything=False) for name in names}
        if any(isinstance(file, _File) and file.unreadable for file in found.values()):
            return None
        return self._parsed({**self._files, **found})

    def _compare(self, files: dict[str, _File], place: frozenset[Identity]) -> Look:
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
            and files.keys() == self._files.keys()
            and all(files[name] is self._files[name] for name in files)
        )
        before, self._files = self._files, files
        leaving: frozenset[Key] = frozenset()
        if self._leaving or not same:
            # no mapping
            present = {key for file in files.values() for key in file.keys()}  # noqa: SIM118
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
            self._together is None
            or self._together.diagnostics
            or hidden != self._hidden
            or not _alike(before, files)
        ):
            self._together, self._hidden = _together(files, hidden=hidden), hidden
        return self._done(_observed(files, self._together, leaving, confirmed=confirmed), place)

    def _done(
        self, found: tuple[ObservedManifests, tuple[Diagnostic, ...]], place: frozenset[Identity]
    ) -> Look:
        observed, diagnostics = found
        stands = standing(self.root)
        last = self._last
        changed = last is None or (last.observed, last.diagnostics, last.revision) != (
            observed,
            diagnostics,
            stands.commit,
        )
        elsewhere = stands.files.union(
            path for path in self._leading_out if str(path) in self._files
        )
        self._last = Look(
            observed, diagnostics, stands.commit, place, elsewhere, changed, self._leaving.pause
        )
        return self._last

    def _file(self, path: Path, *, everything: bool) -> _File | _Content:
        known = self._files.get(str(path))
        seen = signature(path)
        if known and seen is not None and known.signature == seen and not everything:
            return known
        try:
            abroad = self._oddities.is_abroad(path)
            (self._leading_out.add if abroad else self._leading_out.discard)(path)
            self._oddities.require_allowed(path)
            data = read(path)
        except Unreadable as error:
            return _same(
                known,
                _File(
                    None,
                    b"",
                    unreadable(path, error),
                    unreadable=f"{displayed(path)}: {error}",
                    holds_templates=True,
                ),
            )
        digest = hashlib.sha256(data).digest()
        if known and known.digest == digest and known.abroad == abroad:
            known.signature = seen
            return known
        return _Content(seen, digest, data, abroad)

    def _parsed(self, found: Mapping[str, _File | _Content]) -> dict[str, _File]:
        """What changed, and what uses a template that changed."""
        templates = gather(self._holding(found))
        moved = templates != self._templates
        self._templates = templates
        changed = {
            name: one
            for name, one in found.items()
            if isinstance(one, _Content) or (moved and one.stamps != templates.stamps(one.stamps))
        }
        parsed = self._parse({name: one.data for name, one in changed.items()}, templates)
        return {
            name: one
            if isinstance(one, _File) and name not in changed
            else self._kept(one, *parsed[name])
            for name, one in found.items()
        }

    def _holding(self, found: Mapping[str, _File | _Content]) -> Iterator[ParsedFile]:
        """The files that hold templates, or may do so."""
        parsed = self._parse(
            {
                name: one.data
                for name, one in found.items()
                if isinstance(one, _Content) and may_hold(one.data)
            },
            Templates(),
        )
        for name, one in found.items():
            if name in parsed:
                yield parsed[name][0]
            elif isinstance(one, _File) and one.holds_templates:
                yield one.parsed

    def _parse(self, contents: Mapping[str, bytes], templates: Templates) -> dict[str, Parsed]:
        return parse_all(contents, templates, allow_inline_secrets=self._allow_inline_secrets)

    def _kept(
        self, one: _File | _Content, parsed: ParsedFile, declarations: tuple[Declaration, ...]
    ) -> _File:
        return _File(
            one.signature,
            one.digest,
            unquoted(parsed) if one.abroad else parsed,
            declarations,
            holds_templates=may_hold(one.data),
            data=one.data if parsed.uses else b"",
            stamps=self._templates.stamps(parsed.uses),
            abroad=one.abroad,
        )


def _same(known: _File | None, now: _File) -> _File:
    """The old one, if nothing is different."""
    return (
        known
        if known and known.unreadable == now.unreadable and known.parsed == now.parsed
        else now
    )


def _vanished(root: Path, error: str) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    message = f"the directory of manifests vanished, so everything runs on as it was: {error}"
    diagnostic = Diagnostic(str(root), 1, 1, "", "directory-vanished", Severity.ERROR, message)
    return ObservedManifests(vanished=message), (diagnostic,)


def _alike(before: Mapping[str, _File], now: Mapping[str, _File]) -> bool:
    """Whether the rules over all files find in these what they found in those, if that was
    nothing."""
    return before.keys() == now.keys() and all(
        [_without_places(one) for one in old.parsed.named()]
        == [_without_places(one) for one in new.parsed.named()]
        and _may_hide_a_destination(old.parsed) == _may_hide_a_destination(new.parsed)
        for old, new in ((before[name], now[name]) for name in now)
        if old is not new
    )


def _without_places(one: Named) -> Named:
    return replace(one, line=0, marks={})


def _together(files: Mapping[str, _File], *, hidden: bool) -> Together:
    """`hidden`: a destination may be there that is not to be seen now."""
    parsed = [file.parsed for file in files.values()]
    return check_together(
        parsed, whole=not hidden and not any(_may_hide_a_destination(file) for file in parsed)
    )


def _observed(
    files: Mapping[str, _File],
    together: Together,
    leaving: frozenset[Key],
    *,
    confirmed: tuple[bool, bool],
) -> tuple[ObservedManifests, tuple[Diagnostic, ...]]:
    parsed = [file.parsed for file in files.values()]
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
            for file in files.values()
            for found in file.declarations
            if not refused or found.key not in refused
        ),
        broken=tuple(broken),
        unreadable={name: file.unreadable for name, file in files.items() if file.unreadable},
        unclear={
            name: _first(errors.get(name, ()), 1)
            for name, file in files.items()
            if _is_unclear(file)
        },
        empty_confirmed=confirmed[0],
        reroute_confirmed=confirmed[1],
        leaving=leaving,
    )
    return observed, tuple(diagnostics)


def _is_unclear(file: _File) -> bool:
    """What it held before may be meant to be there still. An empty file may be one that is being
    written."""
    empty = not file.parsed.manifests and not file.parsed.broken and not file.parsed.templates
    return not file.unreadable and (empty or not file.parsed.complete)


def _may_hide_a_destination(file: ParsedFile) -> bool:
    """Then a destination that is not to be seen may exist all the same, and planning knows its last
    good version."""
    return not file.complete or any(one.kind == "Destination" for one in file.broken)


def _errors(diagnostics: Iterable[Diagnostic]) -> dict[str, list[Diagnostic]]:
    """By file, in the order of their lines."""
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
    """The first error at or after this line."""
    found = next((error for error in errors if error.line >= line), None)
    return (
        f"{found.file}:{found.line}:{found.column}: {found.message}"
        if found
        else "the manifest is invalid"
    )
