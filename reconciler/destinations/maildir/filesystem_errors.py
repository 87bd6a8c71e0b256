"""Errors of the file system, turned into our own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.model.errors import DestinationUnavailable

_ADVICE = {
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
_OWNERS = (
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
"""Errors that the owner of one mailbox can cause: by permissions, by the quota, by moving files."""


class NotAMailbox(OSError):
    """A mailbox's path leads to no directory. This concerns one recipient only."""

    @property
    def missing(self) -> bool:
        """Return whether there is nothing at the path."""
        return self.errno == errno.ENOENT


@contextmanager
def unavailable(path: object) -> Iterator[None]:
    """Raise DestinationUnavailable, with `path` in its text, for errors of the file system
    inside."""
    try:
        yield
    except OSError as error:
        raise explain(path, error) from error


def concerns_one_mailbox(error: OSError, root: str) -> bool:
    """Return whether the error may concern one mailbox only. `root` is the directory of all
    mailboxes. If we may not write in it, the error concerns all."""
    return error.errno in _OWNERS and os.access(root, os.W_OK | os.X_OK)


def explain(path: object, error: OSError) -> DestinationUnavailable:
    """Return our own error, which says what to do."""
    advice = _ADVICE.get(error.errno or 0, "fix that, then collecting goes on by itself")
    return DestinationUnavailable(f"cannot deliver to {path}: {error.strerror or error}; {advice}")
