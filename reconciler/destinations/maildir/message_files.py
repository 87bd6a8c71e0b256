"""Single files, by descriptor or by name below an open directory: copy, compare, remove.

The directories may belong to somebody else. So nothing here follows a link, blocks, or reads more
than was asked for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile

from reconciler.destinations.maildir.delivery_names import SUFFIX

STALE_AFTER = 36 * 3600.0
"""Seconds after which a file in `tmp/` counts as abandoned: 36 hours, as Maildir's author says."""
_CHUNK = 1 << 18
_UNREADABLE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM)
"""Errors of opening a link, a socket, a device, or somebody else's file."""


# -- by descriptor


def copy(source: int, target: int, size: int) -> None:
    """Copy the first `size` octets of `source`. Raises OSError (ESTALE) where it became shorter."""
    done = 0
    while done < size:
        sent = os.sendfile(target, source, done, size - done)
        if not sent:
            raise OSError(errno.ESTALE, "the file was truncated while it was copied")
        done += sent


def open_unnamed() -> int:
    """Return the descriptor of a new file that nobody else can open."""
    with tempfile.TemporaryFile(buffering=0) as made:
        return os.dup(made.fileno())


def identity(descriptor: int) -> tuple[int, int]:
    """Return the file's device and inode."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def same_content(one: int, another: int, size: int) -> bool:
    """Return whether both files hold the same `size` octets and nothing else. No more than that is
    read: the files may grow meanwhile."""
    if not os.fstat(one).st_size == os.fstat(another).st_size == size:
        return False
    offset = 0
    while offset < size:
        chunk = os.pread(one, min(_CHUNK, size - offset), offset)
        if not chunk or chunk != os.pread(another, len(chunk), offset):
            return False
        offset += len(chunk)
    return True


def digest(descriptor: int, size: int) -> str:
    """Return the SHA-256 of the first `size` octets, in hex."""
    found = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, min(_CHUNK, size - offset), offset):
        found.update(chunk)
        offset += len(chunk)
    return found.hexdigest()


# -- by name in an open directory


def link_count(directory: int, name: str) -> int:
    """Return how many names the file has; 0 where it is missing, -1 where it is no regular
    file."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return status.st_nlink if stat.S_ISREG(status.st_mode) else -1


def has_content(directory: int, name: str, descriptor: int, size: int) -> bool:
    """Return whether the file `name` has the same content as the open one, of `size` octets."""
    other = open_regular(directory, name)
    if other is None:
        return False
    try:
        return same_content(other, descriptor, size)
    finally:
        os.close(other)


def open_regular(directory: int, name: str) -> int | None:
    """Open a regular file for reading. Return None where it is anything else, or not readable for
    us.

    Somebody else may have put a FIFO there, which blocks, or a link, which leads elsewhere.
    """
    try:
        descriptor = os.open(
            name,
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
            dir_fd=directory,
        )
    except OSError as error:
        if error.errno in _UNREADABLE:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def remove(directory: int, name: str) -> None:
    """Remove the file if it is there."""
    try:  # noqa: SIM105  # suppress() costs more, and this runs for each message
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


# -- files that crashes left in tmp/ (hazard D7)


def remove_stale(tmp: int) -> int:
    """Remove our own files that are old and have no other link; return how many.

    A second link shows that the mail still exists somewhere. Then the next attempt recognises the
    delivery by this file, so it stays.
    """
    oldest = oldest_fresh(tmp)
    with os.scandir(tmp) as entries:
        stale = [
            entry.name for entry in entries if SUFFIX in entry.name and _is_stale(entry, oldest)
        ]
    return sum(_removed(tmp, name) for name in stale)


def oldest_fresh(directory: int) -> float:
    """Return the modification time before which a file in `directory` is stale."""
    return _clock(directory) - STALE_AFTER


def _clock(directory: int) -> float:
    """Return the time that the file system gives to a file made now, in seconds since 1970.

    The files may be on another machine, or our own clock may be wrong. Where a file without a name
    cannot be made (NFS), return when the directory was last changed. By that time, no file counts
    as older than it is.
    """
    try:
        made = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        return os.fstat(directory).st_mtime
    try:
        return os.fstat(made).st_mtime
    finally:
        os.close(made)


def _is_stale(entry: os.DirEntry[str], oldest: float) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return status.st_nlink == 1 and status.st_mtime < oldest


def _removed(tmp: int, name: str) -> bool:
    """Remove a file, and return whether that succeeded. A failure does no harm, and must not delay
    delivery."""
    try:
        remove(tmp, name)
    except OSError:
        return False
    return True
