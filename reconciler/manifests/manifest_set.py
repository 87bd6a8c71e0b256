"""The manifests of many files as one set. Collectors are merged with the templates that they name,
whatever file these are in.

Reading takes two passes, for a template may stand in any file. First the files that may hold
templates are parsed alone; then each file is parsed with all templates. A set remembers what it
parsed. Its next state parses only the files that changed and those that use a template that
changed; everything else stays the same objects. `validate`, the daemon and the verbs that edit all
read manifests this way; they differ in what they keep of a parsed file.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct, field

from reconciler.manifests.directory_walk import SpecialPaths
from reconciler.manifests.loading import ParsedFile, parse, unreadable, without_quotations
from reconciler.manifests.manifest_files import Signature, Unreadable, read
from reconciler.manifests.parallel_parsing import map_parallel
from reconciler.manifests.templates.template_index import Templates, may_hold
from reconciler.model.manifest_policy import Allowed, allowed, enforce

R = TypeVar("R")
S = TypeVar("S")
Keep = Callable[[ParsedFile], R]
"""A function of a module, so that other processes can call it: what is kept of a parsed file."""


class Content(Struct, frozen=True):
    """A file's bytes before parsing.

    `outside`: the file was read through a link that leads out of the directory. `digest` is the
    SHA-256, or empty if it is not needed.
    """

    data: bytes
    signature: Signature | None = None
    digest: bytes = b""
    outside: bool = False


class FileRecord(Struct, Generic[R]):
    """The last result for a file, and the facts that tell whether it is still valid.

    `signature` is None if the file must be read again in any case. `stamps` are those of the
    templates that its collectors name. `alone` is the result without other files' templates, for a
    file that may contain templates. `data` is the content, kept only if the result depends on
    templates.
    """

    result: R
    signature: Signature | None = None
    digest: bytes = b""
    stamps: Mapping[str, str] = field(default_factory=dict)
    alone: ParsedFile | None = None
    data: bytes | None = None
    outside: bool = False


FoundFiles = Mapping[str, FileRecord[R] | Content]
"""Files, read or to be parsed."""
FileChanges = Mapping[str, FileRecord[R] | Content | None]
"""Files that are otherwise than before; None: gone."""


class ManifestSet(Generic[R]):
    """Parsed files by name, and their templates. A set is immutable: `refresh` and `overlay` return
    a new one.

    `keep` returns the part of a parsed file that the set keeps. `whole` means that a template that
    is in none of the files does not exist.
    """

    def __init__(
        self, keep: Keep[R], *, whole: bool = True, allow_inline_secrets: bool = False
    ) -> None:
        self._keep = keep
        self._whole = whole
        self._inline = allow_inline_secrets
        self._templates: Templates | None = None
        self._holding: frozenset[str] | None = None
        """The files that may hold templates, once somebody asked."""
        self.records: dict[str, FileRecord[R]] = {}

    @property
    def results(self) -> list[R]:
        """Return the kept part of each file, in the files' order."""
        return [record.result for record in self.records.values()]

    def read(
        self, path: Path, special_paths: SpecialPaths | None = None
    ) -> FileRecord[R] | Content:
        """Return a file's content, or a record for an unreadable file.

        `special_paths` are those of the walk that found it, or None for a file that the user named.
        """
        special_paths = special_paths or SpecialPaths.beside(path)
        try:
            special_paths.require_allowed(path)
            return Content(read(path), outside=special_paths.leads_outside(path))
        except Unreadable as error:
            return self.unreadable(path, error)

    def unreadable(self, path: Path, error: Unreadable) -> FileRecord[R]:
        """Return the record of an unreadable file. It may contain templates."""
        found = unreadable(path, error)
        return FileRecord(self._keep(found), alone=found)

    def overlay(self, contents: Mapping[str, bytes]) -> ManifestSet[R]:
        """Return the set as it would be with these files' contents."""
        return self.refresh(
            {**self.records, **{name: Content(data) for name, data in contents.items()}}
        )

    def only(self, names: Iterable[str]) -> ManifestSet[R]:
        """Return the set of some of the files, with the templates of all."""
        other = ManifestSet(self._keep, whole=self._whole, allow_inline_secrets=self._inline)
        other._templates = self._templates
        other.records = {name: self.records[name] for name in names}
        return other

    def near(self, names: Collection[str]) -> ManifestSet[R]:
        """Return these of the files that are there, and all that may hold templates."""
        if self._holding is None:
            self._holding = frozenset(
                name for name, record in self.records.items() if record.alone is not None
            )
        there = self._holding.union(name for name in names if name in self.records)
        return self.only(sorted(there, key=_parts))

    def has_templates_of(self, other: ManifestSet[R]) -> bool:
        """Return whether both have the same templates."""
        return self._templates == other._templates

    def keeping(
        self,
        keep: Keep[S],
        of: Callable[[R], S],
        last: tuple[ManifestSet[R], ManifestSet[S]] | None = None,
    ) -> ManifestSet[S]:
        """Return the same files with another part kept of each: `keep` of a parsed file, which is
        `of` what this set keeps. `last`: an earlier set and what this returned for it; the records
        of files that are the same in both are used again."""
        other = ManifestSet(keep, whole=self._whole, allow_inline_secrets=self._inline)
        other._templates, other._holding = self._templates, self._holding
        was, made = (last[0].records, last[1].records) if last else ({}, {})
        other.records = {
            name: made[name] if was.get(name) is one else _with_result(one, of(one.result))
            for name, one in self.records.items()
        }
        return other

    def with_changes(self, changes: FileChanges[R]) -> ManifestSet[R]:
        """Return the set with these files changed, added, or removed (None). It costs as much as
        these files do, unless they may hold templates."""
        templates, records = self._templates, merged(self.records, changes)
        if templates is None or any(
            _may_hold_templates(one)
            for name, change in changes.items()
            for one in (self.records.get(name), change)
        ):
            return self.refresh(records)
        contents = {name: one for name, one in changes.items() if isinstance(one, Content)}
        parsed = self._parse(contents, templates, {})
        following = ManifestSet(self._keep, whole=self._whole, allow_inline_secrets=self._inline)
        following._templates, following._holding = templates, self._holding
        following.records = {
            name: one
            if isinstance(one, FileRecord)
            else self._record(one, *parsed[name], templates, None)
            for name, one in records.items()
        }
        return following

    def refresh(
        self,
        found: Mapping[str, FileRecord[R] | Content],
        reread: Callable[[str], FileRecord[R] | Content] | None = None,
    ) -> ManifestSet[R]:
        """Return the set of exactly these files.

        A record is reused unless a template that it depends on changed. `reread` returns the
        content of such a file if the record does not have it.
        """
        alone = self._holding_templates(found)
        templates = gather_templates(alone.values(), whole=self._whole)
        moved = templates != self._templates
        contents: dict[str, Content] = {}
        records: dict[str, FileRecord[R]] = {}
        for name, one in found.items():
            if isinstance(one, FileRecord):
                if not moved or one.stamps == templates.stamps(one.stamps):
                    records[name] = one
                    continue
                one = _content(one) or (reread(name) if reread else one)  # noqa: PLW2901
            if isinstance(one, Content):
                contents[name] = one
            else:
                records[name] = one
        parsed = self._parse(contents, templates, alone)
        following = ManifestSet(self._keep, whole=self._whole, allow_inline_secrets=self._inline)
        following._templates = templates
        for name in found:
            following.records[name] = records.get(name) or self._record(
                contents[name], *parsed[name], templates, alone.get(name)
            )
        return following

    def _holding_templates(
        self, found: Mapping[str, FileRecord[R] | Content]
    ) -> dict[str, ParsedFile]:
        """Return the parsed files that may contain templates, in the files' order."""
        contents = {
            name: one
            for name, one in found.items()
            if isinstance(one, Content) and may_hold(one.data)
        }
        parsed = dict(
            zip(
                contents,
                map_parallel(_parse_alone, list(contents.items()), (self._inline, allowed())),
                strict=True,
            )
        )
        return {
            name: holding
            for name, one in found.items()
            if (holding := one.alone if isinstance(one, FileRecord) else parsed.get(name))
        }

    def _parse(
        self, contents: Mapping[str, Content], templates: Templates, alone: Mapping[str, ParsedFile]
    ) -> dict[str, tuple[R, frozenset[str]]]:
        """Return the kept part of each file and the names of the templates that it uses."""
        done = {
            name: (self._keep(alone[name]), alone[name].uses)
            for name in contents
            if name in alone and not alone[name].uses
        }
        waiting = {name: one for name, one in contents.items() if name not in done}
        parsed = map_parallel(
            _parse_some, list(waiting.items()), (self._keep, templates, self._inline, allowed())
        )
        return {**done, **dict(zip(waiting, parsed, strict=True))}

    def _record(
        self,
        content: Content,
        result: R,
        uses: frozenset[str],
        templates: Templates,
        alone: ParsedFile | None,
    ) -> FileRecord[R]:
        return FileRecord(
            result,
            content.signature,
            content.digest,
            templates.stamps(uses),
            alone,
            content.data if uses else None,
            content.outside,
        )


def load_set(
    paths: Iterable[Path],
    *,
    whole: bool = True,
    allow_inline_secrets: bool = False,
    special_paths: SpecialPaths | None = None,
) -> ManifestSet[ParsedFile]:
    """Read and parse these files, which may use each other's templates. An unreadable file has a
    diagnostic. `special_paths` are those of the walk that found the files."""
    manifests = ManifestSet(keep_all, whole=whole, allow_inline_secrets=allow_inline_secrets)
    return manifests.refresh({str(path): manifests.read(path, special_paths) for path in paths})


def merged(records: Mapping[str, FileRecord[R]], changes: FileChanges[R]) -> FoundFiles[R]:
    """Return all files after these changes, in the order of their paths."""
    found: dict[str, FileRecord[R] | Content] = dict(records)
    for name, change in changes.items():
        if change is None:
            found.pop(name, None)
        else:
            found[name] = change
    new = [name for name in found if name in changes and name not in records]
    if not new:
        return found
    names = [name for name in found if name in records]
    for name in new:
        insort(names, name, key=_parts)
    return {name: found[name] for name in names}


def changed_names(
    before: Mapping[str, FileRecord[R]], now: Mapping[str, FileRecord[R]]
) -> set[str]:
    """Return the files that are in only one of both, or not as they were."""
    return (before.keys() - now.keys()) | {
        name for name, one in now.items() if before.get(name) is not one
    }


def _parts(path: str) -> list[str]:
    """Return what paths are sorted by: as objects of the class Path are."""
    return path.split("/")


def _may_hold_templates(one: FileRecord[R] | Content | None) -> bool:
    if isinstance(one, Content):
        return may_hold(one.data)
    return one is not None and one.alone is not None


def _with_result(record: FileRecord[R], result: S) -> FileRecord[S]:
    return FileRecord(
        result,
        record.signature,
        record.digest,
        record.stamps,
        record.alone,
        record.data,
        record.outside,
    )


def keep_all(parsed: ParsedFile) -> ParsedFile:
    """Return the whole of a parsed file, for a set that keeps that."""
    return parsed


def _content(record: FileRecord[R]) -> Content | None:
    if record.data is None:
        return None
    return Content(record.data, record.signature, record.digest, record.outside)


def gather_templates(files: Iterable[ParsedFile], *, whole: bool = True) -> Templates:
    """Return the templates of these files. `whole` means that there are no others."""
    every = list(files)
    doubtful = next((file.file for file in every if not file.complete), "")
    return Templates(
        (template for file in every for template in file.templates), whole=whole, doubtful=doubtful
    )


def _parsed(name: str, content: Content, templates: Templates, inline: bool) -> ParsedFile:
    found = parse(content.data, name, templates, allow_inline_secrets=inline)
    return without_quotations(found) if content.outside else found


def _parse_alone(
    contents: Sequence[tuple[str, Content]], common: tuple[bool, Allowed]
) -> list[ParsedFile]:
    inline, policy = common
    enforce(policy)  # this may be a helper process, which does not have the policy yet
    return [_parsed(name, content, Templates(), inline) for name, content in contents]


def _parse_some(
    contents: Sequence[tuple[str, Content]], common: tuple[Keep[R], Templates, bool, Allowed]
) -> list[tuple[R, frozenset[str]]]:
    keep, templates, inline, policy = common
    enforce(policy)  # this may be a helper process, which does not have the policy yet
    parsed = (_parsed(name, content, templates, inline) for name, content in contents)
    return [(keep(file), file.uses) for file in parsed]
