"""The first step: a message's bytes into `tmp/`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from msgspec import Struct, field

from reconciler.destinations.maildir import delivery_names, message_files
from reconciler.destinations.maildir.acting_as_owner import Owner, acting_as
from reconciler.destinations.maildir.mailbox_paths import MailboxPath
from reconciler.destinations.maildir.open_maildirs import OpenMaildir
from reconciler.model.outcomes import Deferred, Refused

_UNREADABLE = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM)
"""A link, a socket, a device, a file of somebody else's."""
_AGAIN = ".again"
"""Ends the name that content is staged under while an earlier delivery of the message is there to
be compared."""


class StagedCopy(Struct, eq=False):
    """One recipient's copy, `tmp/NAME`. `adopted`: it was delivered before; `placed`: it is in
    `new/`."""

    place: MailboxPath
    recipient: str
    name: str
    adopted: bool = False
    placed: bool = False
    written: int | None = None
    """Its file, still open because it has to be synced."""
    identity: tuple[int, int] = (0, 0)
    """Device and inode of its file."""
    size: int = 0
    """Octets of it. Who owns the file may have made it any size since."""
    held: OpenMaildir | None = None
    """Kept open for the steps that follow."""
    put_off: str = ""
    """Why its mailbox cannot take it now, though others can."""


class StagedMail(Struct, eq=False):
    size: int = 0
    copies: list[StagedCopy | Deferred | Refused] = field(default_factory=list)
    """One for each recipient."""

    def placeable(self) -> list[StagedCopy]:
        return [copy for copy in self.copies if isinstance(copy, StagedCopy)]


class Original:
    """The message's content: read from the source once, copied from the first file after that."""

    def __init__(self, content: Iterable[bytes]) -> None:
        self._content = content
        self._first: int | None = None
        self.size = 0
        self.lost = False
        """It was read only in part, and where that went cannot be used."""

    def write(self, descriptor: int, owner: Owner | None, *, more: bool) -> None:
        """Into a file of `owner`'s. `more`: there will be further copies, which are made from this
        one, if it is ours: else somebody could change it meanwhile."""
        if self._first is None and more and owner is not None:
            self._first = message_files.nameless()
            self._read(self._first, None)
        if self._first is not None:
            with acting_as(owner):
                message_files.copy(self._first, descriptor, self.size)
            return
        self._read(descriptor, owner)
        if more:
            self._first = os.dup(descriptor)

    def _read(self, descriptor: int, owner: Owner | None) -> None:
        """The source is read as ourselves."""
        self.lost = True
        size = 0
        for chunk in self._content:
            if owner is None:
                size += message_files.write(descriptor, chunk)
                continue
            with acting_as(owner):
                size += message_files.write(descriptor, chunk)
        self.size = size
        self.lost = False

    def drain(self) -> None:
        """Nobody gets it: the source needs it read all the same."""
        self.size = self.size or sum(map(len, self._content))

    def close(self) -> None:
        if self._first is not None:
            os.close(self._first)


def stage(box: OpenMaildir, copy: StagedCopy, original: Original, *, more: bool) -> None:
    """Write `original` for `copy`; or adopt an earlier delivery of the same."""
    if box.owner is None:  # whoever is not root pays nothing for what root has to do
        descriptor, temporary = _begin(box.tmp, copy.name)
    else:
        with acting_as(box.owner):
            descriptor, temporary = _begin(box.tmp, copy.name)
    adopted = False
    try:
        copy.identity = message_files.identity(descriptor)
        original.write(descriptor, box.owner, more=more)
        copy.size = original.size
        if temporary != copy.name:
            with acting_as(box.owner):
                adopted = _adopt(box.tmp, copy, descriptor)
    except BaseException:
        os.close(descriptor)
        _remove(box, temporary)
        raise
    if adopted:
        os.close(descriptor)
        _remove(box, temporary)
    else:
        _leave_open(copy, descriptor)


def _remove(box: OpenMaildir, temporary: str) -> None:
    with acting_as(box.owner):
        remove(box.tmp, temporary)


def _leave_open(copy: StagedCopy, descriptor: int) -> None:
    """Until the batch is synced as a whole; too many are open: it is synced by itself."""
    if message_files.may_wait():
        copy.written = descriptor
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin(tmp: int, name: str) -> tuple[int, str]:
    """A fresh file and its name. One that is left from before and has no other link was never
    delivered; what is no file is not ours."""
    try:
        return _create(tmp, name), name
    except FileExistsError:
        temporary = name if links(tmp, name) in (0, 1) else name + _AGAIN
        remove(tmp, temporary)
        return _create(tmp, temporary), temporary


def _create(tmp: int, name: str) -> int:
    return os.open(
        name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=tmp
    )


def _adopt(tmp: int, copy: StagedCopy, descriptor: int) -> bool:
    """Whether the message was delivered already. If the earlier delivery is of other content, this
    one gets a name of its own, under which it may have been delivered, too."""
    temporary = copy.name + _AGAIN
    if not holds(tmp, copy, descriptor):
        copy.name = delivery_names.other(copy.name, message_files.digest(descriptor, copy.size))
        if not (links(tmp, copy.name) > 1 and holds(tmp, copy, descriptor)):
            os.rename(temporary, copy.name, src_dir_fd=tmp, dst_dir_fd=tmp)
            return False
    copy.adopted = True
    return True


def links(directory: int, name: str) -> int:
    """How many names the file has; 0: it is not there, -1: it is no file."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return status.st_nlink if stat.S_ISREG(status.st_mode) else -1


def holds(directory: int, copy: StagedCopy, descriptor: int) -> bool:
    """Whether the file of its name has the content of the open one."""
    other = opened(directory, copy.name)
    if other is None:
        return False
    try:
        return message_files.same(other, descriptor, copy.size)
    finally:
        os.close(other)


def opened(directory: int, name: str) -> int | None:
    """For reading; None where it is no regular file that we may read. Somebody else may have put
    there what blocks (a FIFO), leads elsewhere (a link), or never ends: nothing of it is read
    before its size is known."""
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
    """Where it is still there."""
    try:  # noqa: SIM105  # for each message
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
