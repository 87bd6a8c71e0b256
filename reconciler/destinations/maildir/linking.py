"""The third step: from `tmp/` into `new/`, and back where it cannot be made durable."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from reconciler.destinations.maildir import delivery_names, message_files
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.open_maildirs import OpenMaildir
from reconciler.destinations.maildir.staging import StagedCopy, holds, links, opened, remove

_FINAL = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ESTALE,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
)
"""Errors of a link that a rename would meet as well. Every other one says in some file system's
words that it makes no second names: EPERM, EACCES, EXDEV (mergerfs, Android), EOPNOTSUPP, ENOSYS,
EMLINK, EINVAL."""
_REPLACED = "somebody replaced a file in tmp while it was being delivered"


def place(box: OpenMaildir, copy: StagedCopy) -> None:
    """Give `tmp/NAME` its name in `new/`; adopt what stands there already, if it is the same."""
    try:
        _link(box.tmp, box.new, copy.name)
    except FileExistsError:
        _meet(box.tmp, box.new, copy)
    if box.owner is not None and not copy.adopted:
        _check(box, copy)
    copy.placed = True


def _check(box: OpenMaildir, copy: StagedCopy) -> None:
    """That it was our file, where somebody else may write into `tmp`. It may have left `new` again
    by now."""
    for directory in (box.tmp, box.new):
        with suppress(FileNotFoundError):
            found = os.stat(copy.name, dir_fd=directory, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != copy.identity:
                raise OSError(errno.ESTALE, _REPLACED)


def _link(tmp: int, new: int, name: str) -> None:
    try:
        os.link(name, name, src_dir_fd=tmp, dst_dir_fd=new, follow_symlinks=False)
    except OSError as error:
        if error.errno in _FINAL:
            raise
        if links(new, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        os.rename(name, name, src_dir_fd=tmp, dst_dir_fd=new)


def _meet(tmp: int, new: int, copy: StagedCopy) -> None:
    """`new/NAME` is there without its `tmp/NAME`: a power cut, or a program that cleans up, took
    that."""
    descriptor = opened(tmp, copy.name)
    if descriptor is None:
        raise OSError(errno.ESTALE, _REPLACED)
    try:
        if message_files.identity(descriptor) != copy.identity:
            raise OSError(errno.ESTALE, _REPLACED)
        if not holds(new, copy, descriptor):
            _rename(
                tmp,
                copy,
                delivery_names.other(copy.name, message_files.digest(descriptor, copy.size)),
            )
            if not (links(new, copy.name) and holds(new, copy, descriptor)):
                _link(tmp, new, copy.name)
                return
    finally:
        os.close(descriptor)
    copy.adopted = True
    remove(tmp, copy.name)
    with suppress(
        OSError
    ):  # only so that it is recognised if a mail program moves it before it is recorded
        os.link(copy.name, copy.name, src_dir_fd=new, dst_dir_fd=tmp, follow_symlinks=False)


def _rename(tmp: int, copy: StagedCopy, name: str) -> None:
    os.rename(copy.name, name, src_dir_fd=tmp, dst_dir_fd=tmp)
    copy.name = name


def take_back(box: OpenMaildir, copy: StagedCopy) -> None:
    """Out of `new/` again, where nobody has moved it yet; else `tmp/NAME` stays and tells that it
    was delivered."""
    with suppress(FileNotFoundError), acting_as(box.receiver):
        os.unlink(copy.name, dir_fd=box.new)
        remove(box.tmp, copy.name)
        copy.placed = False
