"""The file system's errors as ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.model.errors import DestinationUnavailable

_MEND = {
    errno.ENOSPC: "make room on this file system",
    errno.EDQUOT: "raise the quota, or make room",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "let the user that runs mailcollector write there",
    errno.EPERM: "let the user that runs mailcollector write there",
    errno.EIO: "the disk fails: see the kernel's log",
    errno.ESTALE: "mount it again",
    errno.ENOENT: "mount it, or make the directory",
    errno.EXDEV: "put its tmp and new on one file system",
    errno.ELOOP: "write the path without it, or make it a directory",
    errno.EMFILE: "raise the limit on open files",
    errno.ENFILE: "raise the limit on open files",
}


_OWN = (
    errno.EACCES,
    errno.EPERM,
    errno.EDQUOT,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ESTALE,
    errno.EXDEV,
    errno.ENAMETOOLONG,
)
"""What the permissions, the quota and the doings of one mailbox's owner can bring about."""


class NotAMailbox(OSError):
    """What stands at a mailbox's place is none, or nothing does: this concerns one recipient
    only."""

    @property
    def missing(self) -> bool:
        return self.errno == errno.ENOENT


@contextmanager
def unavailable(place: object) -> Iterator[None]:
    """Raise DestinationUnavailable for errors of the file system inside; `place` is the path to
    name."""
    try:
        yield
    except OSError as error:
        raise explained(place, error) from error


def is_of_one(error: OSError, root: str) -> bool:
    """Whether this may well concern one mailbox alone, because others could be made below
    `root`."""
    return error.errno in _OWN and os.access(root, os.W_OK | os.X_OK)


def explained(place: object, error: OSError) -> DestinationUnavailable:
    mend = _MEND.get(error.errno or 0, "see to it, then collecting goes on by itself")
    return DestinationUnavailable(f"cannot deliver to {place}: {error.strerror or error}; {mend}")
