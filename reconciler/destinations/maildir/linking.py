"""The third step of a delivery: link a file from `tmp/` into `new/`.

It is a link, not a rename: `tmp/NAME` stays until the ledger has recorded the message. Where it has
two links after a crash, the message was delivered, even if a mail program has moved the other name.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from reconciler.destinations.maildir import delivery_names, message_files
from reconciler.destinations.maildir.acting_as_owner import acting_as
from reconciler.destinations.maildir.open_maildirs import OpenMaildir
from reconciler.destinations.maildir.staging import StagedCopy

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
"""Errors of a link that a rename would have too. Every other error is sent by some file system that
supports no links: EPERM, EACCES, EXDEV (mergerfs, Android), EOPNOTSUPP, ENOSYS, EMLINK, EINVAL."""
_REPLACED = "somebody replaced a file in tmp while it was being delivered"


def link(maildir: OpenMaildir, copy: StagedCopy) -> None:
    """Link `tmp/NAME` to `new/NAME`; adopt a file that is there already and has the same content.

    Raises OSError, with ESTALE where somebody replaced the file in `tmp/`.
    """
    try:
        _link(maildir.tmp, maildir.new, copy.name)
    except FileExistsError:
        _meet(maildir.tmp, maildir.new, copy)
    if maildir.owner is not None and not copy.adopted:
        _require_ours(maildir, copy)
    copy.placed = True


def take_back(maildir: OpenMaildir, copy: StagedCopy) -> None:
    """Remove the copy from `new/`, and then from `tmp/`.

    Where somebody has moved it out of `new/`, `tmp/NAME` stays, as proof that it was delivered.
    """
    with suppress(FileNotFoundError), acting_as(maildir.receiver):
        os.unlink(copy.name, dir_fd=maildir.new)
        message_files.remove(maildir.tmp, copy.name)
        copy.placed = False


def _link(tmp: int, new: int, name: str) -> None:
    """Link, or rename where the file system supports no links. No file is replaced: that raises
    FileExistsError."""
    try:
        os.link(name, name, src_dir_fd=tmp, dst_dir_fd=new, follow_symlinks=False)
    except OSError as error:
        if error.errno in _FINAL:
            raise
        if message_files.link_count(new, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from error
        os.rename(name, name, src_dir_fd=tmp, dst_dir_fd=new)


def _meet(tmp: int, new: int, copy: StagedCopy) -> None:
    """Adopt `new/NAME`, which is there already, or deliver under another name.

    An earlier attempt made it. Its `tmp/NAME` was lost in a power cut, or removed by a program that
    cleans up.
    """
    descriptor = message_files.open_regular(tmp, copy.name)
    if descriptor is None:
        raise OSError(errno.ESTALE, _REPLACED)
    try:
        if message_files.identity(descriptor) != copy.identity:
            raise OSError(errno.ESTALE, _REPLACED)
        if not message_files.has_content(new, copy.name, descriptor, copy.size):
            content = message_files.digest(descriptor, copy.size)
            name = delivery_names.second_name(copy.name, content)
            os.rename(copy.name, name, src_dir_fd=tmp, dst_dir_fd=tmp)
            copy.name = name
            if not (
                message_files.link_count(new, copy.name)
                and message_files.has_content(new, copy.name, descriptor, copy.size)
            ):
                _link(tmp, new, copy.name)
                return
    finally:
        os.close(descriptor)
    copy.adopted = True
    message_files.remove(tmp, copy.name)
    # A mail program may move it out of new/ before it is recorded. This link still proves it.
    with suppress(OSError):
        os.link(copy.name, copy.name, src_dir_fd=new, dst_dir_fd=tmp, follow_symlinks=False)


def _require_ours(maildir: OpenMaildir, copy: StagedCopy) -> None:
    """Check that our own file was linked: the mailbox's owner may write into `tmp/`. The file may
    have left `new/` again by now."""
    for directory in (maildir.tmp, maildir.new):
        with suppress(FileNotFoundError):
            found = os.stat(copy.name, dir_fd=directory, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != copy.identity:
                raise OSError(errno.ESTALE, _REPLACED)
