"""Reading of manifest files, which may turn out to be directories, devices or anything else."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

LARGEST = 1 << 20
"""The greatest size of a manifest file in bytes."""

_SETTLED = 50_000_000
"""Nanoseconds. A file that changed more recently may change again without a new time stamp."""

Signature = tuple[object, ...]
Identity = tuple[int, int]
"""Device and inode."""

_SENTENCES = {
    errno.ENOENT: "this link leads nowhere, or the file has just been removed",
    errno.ELOOP: "this link leads back to itself",
    errno.EACCES: "permission denied: let the user who runs this read it",
    errno.EPERM: "permission denied: let the user who runs this read it",
    errno.ENXIO: "this is a socket, not a file",
}


class Unreadable(Exception):
    """A file cannot be read. Its manifests do not count as removed. `rule` is the diagnostic's."""

    def __init__(self, message: str, rule: str = "file-unreadable") -> None:
        super().__init__(message)
        self.rule = rule


def displayed(path: Path | str) -> str:
    """Return a path as printable, encodable text. Bytes that are not UTF-8 appear as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def unreadable(error: OSError) -> str:
    """Return the reason why a file or directory cannot be read, and how to fix it."""
    return _SENTENCES.get(error.errno or 0, os.strerror(error.errno or 0))


def identity(status: os.stat_result) -> Identity:
    """Return the device and inode of a file."""
    return status.st_dev, status.st_ino


def signature(path: Path) -> Signature | None:
    """Return a value that is the same as long as the file is unchanged.

    None means that a change could go unnoticed, because the file changed a moment ago or cannot be
    examined.
    """
    try:
        link = path.lstat()
        target = str(path.readlink()) if stat.S_ISLNK(link.st_mode) else ""
        found = path.stat() if target else link
    except OSError:
        return None
    if abs(time.time_ns() - found.st_mtime_ns) < _SETTLED:
        return None
    return *identity(found), found.st_size, found.st_mtime_ns, found.st_ctime_ns, target


def read(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most `largest` bytes. Raises `Unreadable`.

    Other types of files are not opened: opening a device can have an effect, and opening a FIFO
    waits for a writer.
    """
    try:
        _require_regular(os.stat(path), largest)  # noqa: PTH116  # as `os.open` below
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            _require_regular(os.fstat(descriptor), largest)  # it may have been replaced
            return _content(descriptor, largest)
        finally:
            os.close(descriptor)
    except OSError as error:
        rule = "file-not-regular" if error.errno == errno.ENXIO else "file-unreadable"
        raise Unreadable(unreadable(error), rule) from error


def _require_regular(status: os.stat_result, largest: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable(
            "this is a directory, not a file (Docker makes one where a file to be mounted does not "
            "exist)",
            "file-not-regular",
        )
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("this is not a regular file", "file-not-regular")
    if status.st_size > largest:
        raise Unreadable(
            f"this file has {status.st_size:,} bytes: at most {largest:,} are read; split it",
            "file-too-large",
        )


def _content(descriptor: int, largest: int) -> bytes:
    chunks, size = [], 0
    while chunk := os.read(descriptor, min(largest, LARGEST) + 1):
        chunks.append(chunk)
        size += len(chunk)
        if size > largest:
            raise Unreadable(
                f"this file grows: at most {largest:,} bytes are read", "file-too-large"
            )
    return b"".join(chunks)
