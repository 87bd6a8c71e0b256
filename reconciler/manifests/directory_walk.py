"""The search for manifest files below a directory, which may contain anything else as well."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from msgspec import Struct, field

from reconciler.manifests.manifest_files import (
    Identity,
    Unreadable,
    displayed,
    identity,
    unreadable,
)

DEEPEST = 64
"""The greatest depth of nested directories."""
MOST_ENTRIES = 200_000
"""The greatest number of directory entries of any name in all directories together."""
MOST_ABROAD = 20_000
"""The same limit below a link to a directory outside of the root. It is lower, because such a link
may lead to the file system of a whole machine by mistake."""

_SUFFIXES = (".yaml", ".yml")
_TOO_MANY = "too-many-entries"


class DirectoryVanished(Exception):
    """The directory of manifests is missing or cannot be listed. This differs from an empty
    directory, which declares that there are no collectors."""


class Refusal(Struct, frozen=True):
    """The reason why a path is not read: the diagnostic's rule and message."""

    rule: str
    message: str


class SpecialPaths(Struct, frozen=True):
    """The special paths of a walk.

    `refused` paths are not read. `outside` are directories outside of `root` that a link leads to.
    `root` is a path without links.
    """

    root: str
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    outside: frozenset[str] = frozenset()

    @classmethod
    def beside(cls, path: Path) -> SpecialPaths:
        """Return the value for a file that the user named: its directory counts as the root."""
        return cls(os.path.realpath(path.parent))

    def leads_outside(self, path: Path) -> bool:
        """Return whether a link leads from this path out of the root."""
        text = str(path)
        if self.outside and any(text.startswith(f"{place}/") for place in self.outside):
            return True
        if not os.path.islink(text):  # noqa: PTH114  # never raises
            return False
        return not _is_within(os.path.realpath(text), self.root)

    def is_special(self, path: Path) -> bool:
        """Return whether the result for this path depends on more than the file's content."""
        return str(path) in self.refused or self.leads_outside(path)

    def require_allowed(self, path: Path) -> None:
        """Raise `Unreadable` if the path is refused."""
        refusal = self.refused.get(str(path))
        if refusal is not None:
            raise Unreadable(refusal.message, refusal.rule)


class Walk(Struct, frozen=True):
    """The result of a walk: the sorted paths that end in `.yaml` or `.yml`.

    Names that begin with `.` or end in `~` are ignored. Links are followed, and each directory is
    entered once: `entered` has the directories' identities, `directories` their paths. `links` are
    the files that are symbolic links.

    `files` also has paths that are no regular files in spite of their name, and directories that
    cannot be entered. Their diagnostics come from `special_paths` or from reading them.
    """

    files: list[Path]
    entered: frozenset[Identity]
    special_paths: SpecialPaths
    directories: frozenset[str]
    links: list[str]
    plain: Mapping[str, Identity] = field(default_factory=dict)
    """The directories' identities by their paths, where the walk met no link and nothing that is
    refused. Then a file's place alone tells whether a walk finds it (`touched_paths`)."""

    def holding(self) -> frozenset[str]:
        """Return the directories inside the root where a change can change the result."""
        # paths are text here
        targets = (os.path.dirname(os.path.realpath(link)) for link in self.links)  # noqa: PTH120
        return self.directories.union(
            target for target in targets if _is_within(target, self.special_paths.root)
        )


def list_files(root: Path) -> list[Path]:
    """Return the files of a `Walk`. Raises `DirectoryVanished`."""
    return walk(root).files


def walk(root: Path) -> Walk:
    """Look for manifest files below `root`. Raises `DirectoryVanished`."""
    try:
        own = identity(root.stat())
        walker = _Walker(os.path.realpath(root), {own}, MOST_ENTRIES)
        entries = walker.entries(str(root))
    except OSError as error:
        raise DirectoryVanished(f"{displayed(root)}: {error.strerror}") from error
    except _EntryRefused as refused:
        walker.refuse(str(root), refused)
        entries = []
    walker.take(entries)
    return Walk(
        sorted(walker.files),
        frozenset(walker.seen),
        SpecialPaths(walker.root, walker.refused, frozenset(walker.outside)),
        frozenset({str(root), *walker.directories}),
        walker.links,
        {str(root): own, **walker.directories} if walker.is_plain else {},
    )


class _EntryRefused(Exception):
    """A directory entry that is not read, as a `Refusal`."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(rule, message)


class _Walker:
    """One walk: enters directories depth first, without recursion.

    `left` is the number of entries that may still be listed. `all_or_nothing` makes too many
    entries an error of the whole walk instead of one directory.
    """

    def __init__(
        self, root: str, seen: set[Identity], left: int, *, all_or_nothing: bool = False
    ) -> None:
        self.root = root
        self.seen = seen
        self.files: list[Path] = []
        self.directories: dict[str, Identity] = {}
        self.links: list[str] = []
        self.is_plain = True
        """Whether no link and nothing that is refused was met."""
        self.refused: dict[str, Refusal] = {}
        self.outside: set[str] = set()
        self.left = left
        self._all_or_nothing = all_or_nothing

    def refuse(self, path: str, refused: _EntryRefused) -> None:
        self.refused[path] = refused.refusal
        self.is_plain = False
        self.files.append(Path(path))

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """Return a directory's entries sorted by name. Raises OSError and _EntryRefused."""
        with os.scandir(path) as found:
            entries = list(islice(found, self.left + 1))
        if len(entries) > self.left:
            # Halving bounds the cost of many huge directories and leaves room for small ones.
            self.left //= 2
            raise _EntryRefused(
                _TOO_MANY,
                f"there are more names than are looked at ({MOST_ENTRIES:,}, and {MOST_ABROAD:,} "
                "behind a link that leads out): nothing below this directory is read; keep "
                "nothing but manifests here",
            )
        self.left -= len(entries)
        entries.sort(key=lambda entry: entry.name)
        return entries

    def take(self, entries: list[os.DirEntry[str]], depth: int = 0) -> None:
        """Collect the files of these entries and below them. `depth` is their own depth."""
        waiting = [(entry, depth) for entry in reversed(list(self._directories(entries)))]
        while waiting:
            entry, depth = waiting.pop()
            try:
                below = self._enter(entry, depth)
            except FileNotFoundError:
                continue  # it was removed just now
            except OSError as error:
                self.refuse(entry.path, _EntryRefused("file-unreadable", unreadable(error)))
            except _EntryRefused as refused:
                if self._all_or_nothing and refused.refusal.rule == _TOO_MANY:
                    raise
                self.refuse(entry.path, refused)
            else:
                waiting += [(one, depth + 1) for one in reversed(list(self._directories(below)))]

    def _directories(self, entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        """Yield the directories to enter, and collect the files."""
        for entry in entries:
            name = entry.name
            if is_ignored(name):
                continue
            is_file = is_manifest_name(name)
            if not is_file and not _is_directory(entry):
                continue
            if not name.isascii() and not is_utf8(name):
                self.refuse(
                    entry.path,
                    _EntryRefused(
                        "file-name",
                        "this name is not UTF-8, so that nobody can be told of it: rename it",
                    ),
                )
            elif is_file:
                self.files.append(Path(entry.path))
                if entry.is_symlink():
                    self.links.append(entry.path)
                    self.is_plain = False
            else:
                yield entry

    def _enter(self, entry: os.DirEntry[str], depth: int) -> list[os.DirEntry[str]]:
        """Return the entries of a directory that the caller still has to collect. Raises OSError
        and _EntryRefused."""
        found = identity(entry.stat())
        self.is_plain = self.is_plain and not entry.is_symlink()
        if found in self.seen:
            return []
        if depth >= DEEPEST:
            raise _EntryRefused(
                "directories-too-deep", f"directories are entered {DEEPEST} deep: move this one up"
            )
        if entry.is_symlink() and not _is_within(target := os.path.realpath(entry.path), self.root):
            return self._go_abroad(entry, target, depth)
        self.seen.add(found)
        below = self.entries(entry.path)
        self.directories[entry.path] = found
        return below

    def _go_abroad(
        self, entry: os.DirEntry[str], target: str, depth: int
    ) -> list[os.DirEntry[str]]:
        """Collect everything behind a link that leads out of the root, or nothing if it is too
        much."""
        if _is_within(self.root, target):
            raise _EntryRefused(
                "link-leads-out",
                "this link leads to a directory that holds the manifests' own: remove it",
            )
        allowed = min(self.left, MOST_ABROAD)
        found = identity(entry.stat())
        self.seen.add(found)
        walker = _Walker(target, set(self.seen), allowed, all_or_nothing=True)
        try:
            walker.take(walker.entries(entry.path), depth + 1)
        except _EntryRefused:
            self.left -= allowed
            raise
        self.left -= allowed - walker.left
        self.seen |= walker.seen
        self.files += walker.files
        self.directories |= {entry.path: found, **walker.directories}
        self.links += walker.links
        self.refused |= walker.refused
        self.outside |= {entry.path, *walker.outside}
        return []


def is_ignored(name: str) -> bool:
    """Return whether a walk passes over a directory entry of this name."""
    return name.startswith(".") or name.endswith("~")


def is_manifest_name(name: str) -> bool:
    """Return whether a directory entry of this name is taken for a manifest file."""
    return name.endswith(_SUFFIXES)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_utf8(name: str) -> bool:
    """Return whether a name can be written in UTF-8: other octets of a file name are surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
