"""The first step of a delivery: write a message into `tmp/`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct, field

from reconciler.destinations.maildir import delivery_names, file_sync, message_files
from reconciler.destinations.maildir.acting_as_owner import Owner, acting_as
from reconciler.destinations.maildir.mailbox_paths import MailboxPath
from reconciler.destinations.maildir.open_maildirs import OpenMaildir
from reconciler.disk import write_all
from reconciler.model.outcomes import Deferred, Refused

_AGAIN = ".again"
"""Suffix of a second name, for content that is staged while an earlier delivery of the same message
has `tmp/NAME`. Then the two are compared."""


class StagedCopy(Struct, eq=False):
    """One recipient's copy, `tmp/NAME`."""

    mailbox: MailboxPath
    recipient: str
    name: str
    adopted: bool = False
    """Whether an earlier attempt delivered it."""
    placed: bool = False
    """Whether it is in `new/`."""
    written: int | None = None
    """The descriptor of its file, which stays open until it is synced."""
    identity: tuple[int, int] = (0, 0)
    """Device and inode of its file."""
    size: int = 0
    """Octets that were written. The file's owner may have changed its size since."""
    maildir: OpenMaildir | None = None
    """The Maildir, which stays open for the steps that follow."""
    put_off: str = ""
    """The reason why its mailbox cannot take it now; empty if it can."""


class StagedMail(Struct, eq=False):
    """A message with one copy, or one outcome, for each recipient."""

    size: int = 0
    """Octets."""
    copies: list[StagedCopy | Deferred | Refused] = field(default_factory=list)

    def placeable(self) -> list[StagedCopy]:
        """Return the copies that have a file."""
        return [copy for copy in self.copies if isinstance(copy, StagedCopy)]


class SharedContent:
    """A message's content: read from the source once, then copied from the first file."""

    def __init__(self, content: Iterable[bytes]) -> None:
        self._content = content
        self._first: int | None = None
        self.size = 0
        """Octets."""
        self.lost = False
        """Whether only a part of it could be read, so that the file with that part cannot be
        used."""

    def write(self, descriptor: int, owner: Owner | None, *, more: bool) -> None:
        """Write the content into a file of `owner`. `more`: further copies follow.

        Further copies are made from this file if it is ours. A file of somebody else could change
        meanwhile. Then a nameless file is made for them.
        """
        if self._first is None and more and owner is not None:
            self._first = message_files.open_unnamed()
            self._read(self._first, None)
        if self._first is not None:
            with acting_as(owner):
                message_files.copy(self._first, descriptor, self.size)
            return
        self._read(descriptor, owner)
        if more:
            self._first = os.dup(descriptor)

    def _read(self, descriptor: int, owner: Owner | None) -> None:
        """Read the source as ourselves, and write as `owner`."""
        self.lost = True
        size = 0
        for chunk in self._content:
            if owner is None:
                size += write_all(descriptor, chunk)
                continue
            with acting_as(owner):
                size += write_all(descriptor, chunk)
        self.size = size
        self.lost = False

    def drain(self) -> None:
        """Read the content without writing it: the source expects that it is read."""
        self.size = self.size or sum(map(len, self._content))

    def close(self) -> None:
        if self._first is not None:
            os.close(self._first)


def stage(maildir: OpenMaildir, copy: StagedCopy, original: SharedContent, *, more: bool) -> None:
    """Write `original` for `copy`, or adopt an earlier delivery with the same content. `more`: as
    for `SharedContent.write`. Raises OSError; then nothing is left in `tmp/`."""
    if maildir.owner is None:  # without the cost of `acting_as`
        descriptor, temporary = _begin(maildir.tmp, copy.name)
    else:
        with acting_as(maildir.owner):
            descriptor, temporary = _begin(maildir.tmp, copy.name)
    adopted = False
    try:
        copy.identity = message_files.identity(descriptor)
        original.write(descriptor, maildir.owner, more=more)
        copy.size = original.size
        if temporary != copy.name:
            with acting_as(maildir.owner):
                adopted = _adopt(maildir.tmp, copy, descriptor)
    except BaseException:
        os.close(descriptor)
        _remove(maildir, temporary)
        raise
    if adopted:
        os.close(descriptor)
        _remove(maildir, temporary)
    else:
        _leave_open(copy, descriptor)


def _remove(maildir: OpenMaildir, temporary: str) -> None:
    with acting_as(maildir.owner):
        message_files.remove(maildir.tmp, temporary)


def _leave_open(copy: StagedCopy, descriptor: int) -> None:
    """Leave the file open until its batch is synced. Where too many are open already, sync it
    now."""
    if file_sync.may_stay_open():
        copy.written = descriptor
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin(tmp: int, name: str) -> tuple[int, str]:
    """Make a new file; return its descriptor and its name, which may have `_AGAIN` appended.

    A file of an earlier attempt with no other link was never delivered, so it is replaced. One with
    two links may have been delivered, so it stays for comparison. So does anything that is no
    regular file, for it is not ours.
    """
    try:
        return _create(tmp, name), name
    except FileExistsError:
        undelivered = message_files.link_count(tmp, name) in (0, 1)
        temporary = name if undelivered else name + _AGAIN
        message_files.remove(tmp, temporary)
        return _create(tmp, temporary), temporary


def _create(tmp: int, name: str) -> int:
    return os.open(
        name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=tmp
    )


def _adopt(tmp: int, copy: StagedCopy, descriptor: int) -> bool:
    """Return whether the message was delivered before.

    Where the earlier delivery has other content, this copy gets another name, made from the
    content. It may have been delivered under that name too.
    """
    temporary = copy.name + _AGAIN
    if not message_files.has_content(tmp, copy.name, descriptor, copy.size):
        copy.name = delivery_names.second_name(
            copy.name, message_files.digest(descriptor, copy.size)
        )
        if not (
            message_files.link_count(tmp, copy.name) > 1
            and message_files.has_content(tmp, copy.name, descriptor, copy.size)
        ):
            os.rename(temporary, copy.name, src_dir_fd=tmp, dst_dir_fd=tmp)
            return False
    copy.adopted = True
    return True
