"""Maildirs that are open: opened when mail for them comes, closed when none is under way any
more."""

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
"""So many of one session stay open at once; mail for others opens them for each step."""
_MOVED = "it was replaced or moved away while mail was being delivered there"


class OpenMaildir(Struct, eq=False):
    """Descriptors of a Maildir's `tmp` and `new`. `identity` tells whether its path still leads to
    it."""

    place: MailboxPath
    tmp: int
    new: int
    identity: tuple[int, ...]
    owner: Owner | None = None
    """Whom to act as in `tmp`."""
    receiver: Owner | None = None
    """The same in `new`: hardly ever another one."""
    users: int = 0
    closed: bool = False

    def close(self) -> None:
        """Once: the numbers may be somebody else's descriptors after that."""
        if not self.closed:
            self.closed = True
            os.close(self.tmp)
            os.close(self.new)


class OpenMaildirs:
    """Those of one destination. Thread-safe."""

    def __init__(self, mounted: MountProtection) -> None:
        self._mounted = mounted
        self._kept: dict[MailboxPath, OpenMaildir] = {}
        self._complete: set[MailboxPath] = set()
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, place: MailboxPath) -> Iterator[OpenMaildir]:
        """For one step. Errors as of `directories.opened` and `MountProtection.check`."""
        box = self.take(place)
        try:
            yield box
        finally:
            self.release(box)

    def take(self, place: MailboxPath, *, create: bool = False) -> OpenMaildir:
        """To be released. With `create` the Maildir is made where it is missing. Errors as of
        `directories.opened`."""
        with self._lock:
            box = self._kept.get(place)
            if box is not None:
                box.users += 1
                return box
        return self._keep(self._open(place, create=create))

    def keeps(self, box: OpenMaildir) -> bool:
        """Whether it may stay taken for a while; else too many are open already."""
        return self._kept.get(box.place) is box

    def release(self, box: OpenMaildir) -> None:
        with self._lock:
            box.users -= 1
            if box.users:
                return
            if self._kept.get(box.place) is box:
                del self._kept[box.place]
            box.close()

    def check(self, box: OpenMaildir) -> None:
        """OSError unless the path leads to this very Maildir still: nobody finds what is put
        anywhere else. DestinationUnavailable as of `MountProtection.check`."""
        self._mounted.check(box.place)
        with directories.opened(box.place) as directory:
            if _identity(directory) != box.identity:
                raise OSError(errno.ESTALE, _MOVED)

    def close(self) -> None:
        """Whatever was under way is given up."""
        with self._lock:
            kept, self._kept = self._kept, {}
            for box in kept.values():
                box.close()

    def _keep(self, box: OpenMaildir) -> OpenMaildir:
        with self._lock:
            box.users = 1
            if len(self._kept) < KEPT:
                self._kept.setdefault(box.place, box)
        return box

    def _open(self, place: MailboxPath, *, create: bool) -> OpenMaildir:
        self._mounted.check(place)
        with directories.opened(place, create=create) as box, ExitStack() as undo:
            if place not in self._complete or not directories.contains(box, "tmp"):
                directories.complete(box)
                self._complete.add(place)
            tmp = directories.descend(box, "tmp")
            undo.callback(os.close, tmp.descriptor)
            new = directories.descend(box, "new")
            undo.callback(os.close, new.descriptor)
            made = OpenMaildir(
                place, tmp.descriptor, new.descriptor, _identity(box), tmp.owner, new.owner
            )
            self._mounted.remember(place)
            undo.pop_all()
            return made


def _identity(box: Directory) -> tuple[int, ...]:
    """Device and inode of the Maildir and of what we use of it."""
    with acting_as(box.owner):
        found = [
            os.fstat(box.descriptor),
            *(
                os.stat(name, dir_fd=box.descriptor, follow_symlinks=False)
                for name in ("tmp", "new")
            ),
        ]
    return tuple(number for status in found for number in (status.st_dev, status.st_ino))
