"""The manifest files of a directory, and their bytes."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

LARGEST = 1 << 20
"""Octets of a manifest file."""

_SETTLED = 50_000_000
"""Nanoseconds: a file changed more lately may change again without a new time stamp."""

Signature = tuple[object, ...]
Identity = tuple[int, int]
"""Device and inode."""

_SUFFIXES = (".yaml", ".yml")
_SENTENCES = {
    errno.ENOENT: "this link leads nowhere, or the file has just been removed",
    errno.ELOOP: "this link leads back to itself",
    errno.EACCES: "permission denied: let the user who runs this read it",
    errno.EPERM: "permission denied: let the user who runs this read it",
    errno.ENXIO: "this is a socket, not a file",
}


class DirectoryVanished(Exception):
    """The directory of manifests is not there, or cannot be listed: that is not the same as "no manifests"."""


class Unreadable(Exception):
    """One file cannot be read; its manifests are not gone. `rule` is the diagnostic's."""

    def __init__(self, message: str, rule: str = "file-unreadable") -> None:
        super().__init__(message)
        self.rule = rule


def list_files(root: Path) -> list[Path]:
    """`*.yaml` and `*.yml` below `root`, sorted; what begins with `.` or ends in `~` is passed over.

    Links are followed, each directory is entered once. What bears such a name but is no file is listed too, and so is
    a directory that cannot be listed: `read` then says what is wrong with it. Raises `DirectoryVanished`.
    """
    return listing(root)[0]


def listing(root: Path) -> tuple[list[Path], frozenset[Identity]]:
    """The same, and which directories were entered."""
    try:
        with os.scandir(root) as entries:
            names = list(entries)
        seen = {_identity(root.stat())}
    except OSError as error:
        raise DirectoryVanished(f"{root}: {error.strerror}") from error
    return sorted(_below(names, seen)), frozenset(seen)


def _below(entries: list[os.DirEntry[str]], seen: set[Identity]) -> Iterator[Path]:
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.name.endswith(_SUFFIXES):
            yield Path(entry.path)
        elif _is_directory(entry):
            yield from _enter(entry, seen)


def _enter(entry: os.DirEntry[str], seen: set[Identity]) -> Iterator[Path]:
    try:
        identity = _identity(entry.stat())
        if identity in seen:
            return
        seen.add(identity)
        with os.scandir(entry.path) as entries:
            below = list(entries)
    except FileNotFoundError:
        return
    except OSError:
        yield Path(entry.path)
        return
    yield from _below(below, seen)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def signature(path: Path) -> Signature | None:
    """Stays the same while the file does. None where a change could escape: the file changed just now, or cannot be
    looked at."""
    try:
        link = path.lstat()
        target = str(path.readlink()) if stat.S_ISLNK(link.st_mode) else ""
        found = path.stat() if target else link
    except OSError:
        return None
    if abs(time.time_ns() - found.st_mtime_ns) < _SETTLED:
        return None
    return *_identity(found), found.st_size, found.st_mtime_ns, found.st_ctime_ns, target


def read(path: Path) -> bytes:
    """The bytes of a manifest file, at most `LARGEST`. Never waits for a FIFO. Raises `Unreadable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _content(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        rule = "file-not-regular" if error.errno == errno.ENXIO else "file-unreadable"
        raise Unreadable(_SENTENCES.get(error.errno or 0, os.strerror(error.errno or 0)), rule) from error


def _content(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable("this is a directory, not a file (Docker makes one where a file to be mounted does not exist)",
                         "file-not-regular")
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("this is not a regular file", "file-not-regular")
    if status.st_size > LARGEST:
        raise Unreadable(f"this file has {status.st_size:,} bytes: at most {LARGEST:,} are read; split it",
                         "file-too-large")
    chunks = []
    while chunk := os.read(descriptor, LARGEST + 1):
        chunks.append(chunk)
        if sum(map(len, chunks)) > LARGEST:
            raise Unreadable(f"this file grows: at most {LARGEST:,} bytes are read", "file-too-large")
    return b"".join(chunks)
