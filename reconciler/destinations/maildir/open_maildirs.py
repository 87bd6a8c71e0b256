"""Open Maildirs: opened when mail for them comes, closed when none is under way any more."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from reconciler.destinations.maildir import directories
from reconciler.destinations.maildir.acting_as_owner import Owner, acting_as
from reconciler.destinations.maildir.directories import Directory
from reconciler.destinations.maildir.mailbox_paths import MailboxPath
from reconciler.destinations.maildir.mount_protection import MountProtection

KEPT = 8
"""Maildirs of one session that stay open at once. Others are opened for each step."""
_MOVED = "it was replaced or moved away while mail was being delivered there"


class OpenMaildir(Struct, eq=False):
    """Descriptors of a Maildir's `tmp` and `new`."""

    mailbox: MailboxPath
    tmp: int
    new: int
    identity: tuple[int, ...]
    """Devices and inodes, to check that the path still leads here."""
    owner: Owner | None = None
    """The owner to act as in `tmp`."""
    receiver: Owner | None = None
    """The owner to act as in `new`, almost always the same."""
    users: int = 0
    """How many copies and steps use it."""
    closed: bool = False

    def close(self) -> None:
        """Close the descriptors, once only: after that the numbers may belong to other files."""
        if not self.closed:
            self.closed = True
            os.close(self.tmp)
            os.close(self.new)


class OpenMaildirs:
    """The open Maildirs of one destination. Thread-safe."""

    def __init__(self, mounts: MountProtection) -> None:
        self._mounts = mounts
        self._kept: dict[MailboxPath, OpenMaildir] = {}
        self._complete: set[MailboxPath] = set()
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, mailbox: MailboxPath) -> Iterator[OpenMaildir]:
        """Open a Maildir for one step. Raises what `directories.opened` and `MountProtection.check`
        do."""
        maildir = self.take(mailbox)
        try:
            yield maildir
        finally:
            self.release(maildir)

    def take(self, mailbox: MailboxPath, *, create: bool = False) -> OpenMaildir:
        """Open a Maildir until `release`. With `create` it is made where it is missing. Raises what
        `directories.opened` and `MountProtection.check` do."""
        with self._lock:
            maildir = self._kept.get(mailbox)
            if maildir is not None:
                maildir.users += 1
                return maildir
        return self._keep(self._open(mailbox, create=create))

    def keeps(self, maildir: OpenMaildir) -> bool:
        """Return whether it may stay open between steps; False where too many are open already."""
        return self._kept.get(maildir.mailbox) is maildir

    def release(self, maildir: OpenMaildir) -> None:
        """Give up one use of it. The last one closes it."""
        with self._lock:
            maildir.users -= 1
            if maildir.users:
                return
            if self._kept.get(maildir.mailbox) is maildir:
                del self._kept[maildir.mailbox]
            maildir.close()

    def check(self, maildir: OpenMaildir) -> None:
        """Check that the path still leads to this very Maildir. Elsewhere, nobody would find the
        mail.

        Raises OSError (ESTALE), and what `directories.opened` and `MountProtection.check` do.
        """
        self._mounts.check(maildir.mailbox)
        with directories.opened(maildir.mailbox) as directory:
            if _identity(directory) != maildir.identity:
                raise OSError(errno.ESTALE, _MOVED)

    def close(self) -> None:
        """Close all of them, even where mail is under way."""
        with self._lock:
            kept, self._kept = self._kept, {}
            for maildir in kept.values():
                maildir.close()

    def _keep(self, maildir: OpenMaildir) -> OpenMaildir:
        with self._lock:
            maildir.users = 1
            if len(self._kept) < KEPT:
                self._kept.setdefault(maildir.mailbox, maildir)
        return maildir

    def _open(self, mailbox: MailboxPath, *, create: bool) -> OpenMaildir:
        self._mounts.check(mailbox)
        with directories.opened(mailbox, create=create) as directory, ExitStack() as undo:
            if mailbox not in self._complete or not directories.contains(directory, "tmp"):
                directories.make_subdirectories(directory)
                self._complete.add(mailbox)
            tmp = directories.open_inside(directory, "tmp")
            undo.callback(os.close, tmp.descriptor)
            new = directories.open_inside(directory, "new")
            undo.callback(os.close, new.descriptor)
            maildir = OpenMaildir(
                mailbox, tmp.descriptor, new.descriptor, _identity(directory), tmp.owner, new.owner
            )
            self._mounts.remember(mailbox)
            undo.pop_all()
            return maildir


def _identity(maildir: Directory) -> tuple[int, ...]:
    """Return device and inode of the Maildir, of its `tmp` and of its `new`."""
    with acting_as(maildir.owner):
        found = [
            os.fstat(maildir.descriptor),
            *(
                os.stat(name, dir_fd=maildir.descriptor, follow_symlinks=False)
                for name in ("tmp", "new")
            ),
        ]
    return tuple(number for status in found for number in (status.st_dev, status.st_ino))
