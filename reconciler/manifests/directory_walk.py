"""Finding the manifest files of a directory, whatever else somebody put there."""

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
"""Directories below each other."""
MOST_ENTRIES = 200_000
"""Of all directories together, whatever their names."""
MOST_ABROAD = 20_000
"""The same below a link to a directory that stands elsewhere: somebody meant a few manifests, not a
whole machine."""

_SUFFIXES = (".yaml", ".yml")
_TOO_MANY = "too-many-entries"


class DirectoryVanished(Exception):
    """The directory of manifests is not there, or cannot be listed: that is not the same as "no
    manifests"."""


class Refusal(Struct, frozen=True):
    """Why a path is not looked into. `rule` is the diagnostic's."""

    rule: str
    message: str


class Oddities(Struct, frozen=True):
    """What a walk tells of paths besides the bytes that are there: which are `refused`, and which
    directories stand outside of `root`, behind a link (`abroad`). `root` has no links in it."""

    root: str
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    abroad: frozenset[str] = frozenset()

    @classmethod
    def beside(cls, path: Path) -> Oddities:
        """For a file that was named by itself: its directory counts as the root."""
        return cls(os.path.realpath(path.parent))

    def is_abroad(self, path: Path) -> bool:
        """Whether what is read there stands outside of the root."""
        text = str(path)
        if self.abroad and any(text.startswith(f"{place}/") for place in self.abroad):
            return True
        if not os.path.islink(text):  # noqa: PTH114  # never raises
            return False
        return not _is_within(os.path.realpath(text), self.root)

    def is_odd(self, path: Path) -> bool:
        """Whether what is found there depends on more than its bytes."""
        return str(path) in self.refused or self.is_abroad(path)

    def require_allowed(self, path: Path) -> None:
        """Raises `Unreadable` for what is refused."""
        refusal = self.refused.get(str(path))
        if refusal is not None:
            raise Unreadable(refusal.message, refusal.rule)


class Walk(Struct, frozen=True):
    """What there is: `*.yaml` and `*.yml`, sorted; what begins with `.` or ends in `~` is passed
    over.

    Links are followed, each directory is entered once: `entered` are their identities,
    `directories` the paths of entry. What bears such a name but is no file is listed too, and so is
    a directory that cannot or may not be entered: `oddities` or reading it tell what is wrong.
    `links` are files.
    """

    files: list[Path]
    entered: frozenset[Identity]
    oddities: Oddities
    directories: frozenset[str]
    links: list[str]

    def holding(self) -> frozenset[str]:
        """The directories in which what was found can change, as far as they are in the root."""
        # paths are text here
        targets = (os.path.dirname(os.path.realpath(link)) for link in self.links)  # noqa: PTH120
        return self.directories.union(
            target for target in targets if _is_within(target, self.oddities.root)
        )


def list_files(root: Path) -> list[Path]:
    """The files of a `Walk`. Raises `DirectoryVanished`."""
    return walk(root).files


def walk(root: Path) -> Walk:
    """Look for manifest files below `root`. Raises `DirectoryVanished`."""
    try:
        walker = _Walker(os.path.realpath(root), {identity(root.stat())}, MOST_ENTRIES)
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
        Oddities(walker.root, walker.refused, frozenset(walker.abroad)),
        frozenset({str(root), *walker.directories}),
        walker.links,
    )


class _EntryRefused(Exception):
    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(rule, message)


class _Walker:
    """Enters directories depth first, without a stack of calls. `left`: the entries that may still
    be seen."""

    def __init__(
        self, root: str, seen: set[Identity], left: int, *, all_or_nothing: bool = False
    ) -> None:
        self.root = root
        self.seen = seen
        self.files: list[Path] = []
        self.directories: set[str] = set()
        self.links: list[str] = []
        self.refused: dict[str, Refusal] = {}
        self.abroad: set[str] = set()
        self.left = left
        self._all_or_nothing = all_or_nothing

    def refuse(self, path: str, refused: _EntryRefused) -> None:
        self.refused[path] = refused.refusal
        self.files.append(Path(path))

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """Of one directory, by name. Raises OSError, _EntryRefused."""
        with os.scandir(path) as found:
            entries = list(islice(found, self.left + 1))
        if len(entries) > self.left:
            # so that many such directories cost no more than one, and small ones are still entered
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
        """What these lead to; they stand `depth` directories below the first ones."""
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
        """Those to be entered; files are taken."""
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.endswith("~"):
                continue
            is_file = name.endswith(_SUFFIXES)
            if not is_file and not _is_directory(entry):
                continue
            if not name.isascii() and not _is_utf8(name):
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
            else:
                yield entry

    def _enter(self, entry: os.DirEntry[str], depth: int) -> list[os.DirEntry[str]]:
        """What is to be taken of this directory here. Raises OSError, _EntryRefused."""
        found = identity(entry.stat())
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
        self.directories.add(entry.path)
        return below

    def _go_abroad(
        self, entry: os.DirEntry[str], target: str, depth: int
    ) -> list[os.DirEntry[str]]:
        """All of it, or, where that is too much, nothing."""
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
        self.directories |= {entry.path, *walker.directories}
        self.links += walker.links
        self.refused |= walker.refused
        self.abroad |= {entry.path, *walker.abroad}
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
