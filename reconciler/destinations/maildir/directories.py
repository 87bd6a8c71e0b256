"""The directories of a Maildir: opened and made as their owner (`acting_as_owner`). Links of users
are not followed."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from reconciler.destinations.maildir.acting_as_owner import Owner, acting_as, owner_of, privileged
from reconciler.destinations.maildir.filesystem_errors import NotAMailbox
from reconciler.destinations.maildir.mailbox_paths import MailboxPath

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINKS = 40
"""Links that are followed in one path, as many as the kernel follows."""
_synced: set[MailboxPath] = set()
"""Mailboxes whose path is durable already."""


class Directory(NamedTuple):
    """An open directory, and the owner to act as in it (None: act as ourselves)."""

    descriptor: int
    owner: Owner | None = None


@contextmanager
def opened(mailbox: MailboxPath, *, create: bool = False) -> Iterator[Directory]:
    """Open a Maildir's own directory. With `create` make it, and what is missing above it.

    Raises NotAMailbox where it is missing, or reached through a link; OSError for everything else.
    """
    with ExitStack() as stack:
        here = _root(mailbox.root, create)
        stack.callback(os.close, here.descriptor)
        for part in mailbox.parts:
            here = _part(here, part, create)
            stack.callback(os.close, here.descriptor)
        yield here


@contextmanager
def inside(maildir: Directory, name: str) -> Iterator[Directory]:
    """Open a Maildir's `tmp`, `new` or `cur` so that it can be synced; make it where it is
    missing."""
    below = open_inside(maildir, name)
    try:
        yield below
    finally:
        os.close(below.descriptor)


def open_inside(maildir: Directory, name: str) -> Directory:
    """Open it as `inside` does. The caller closes it.

    In a user's Maildir we act as this user, also where `name` belongs to somebody else.
    """
    below = _part(maildir, name, create=True, flags=_READ)
    if maildir.owner is None or below.owner is None or maildir.owner.user in (0, below.owner.user):
        return below
    return below._replace(owner=maildir.owner)


def make_subdirectories(maildir: Directory) -> None:
    """Make `cur`, `new` and `tmp`. `tmp` comes last, so that where it is the others are too."""
    for name in ("cur", "new", "tmp"):
        with inside(maildir, name):
            pass


def contains(directory: Directory, name: str) -> bool:
    """Return whether there is anything of that name."""
    with acting_as(directory.owner), suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        return True
    return False


def sync(directory: Directory) -> None:
    """Make the names in `directory` durable."""
    # Without permission to read the directory, we have made nothing in it either.
    with suppress(PermissionError), acting_as(directory.owner):
        readable = os.open(".", _READ, dir_fd=directory.descriptor)
        try:
            os.fsync(readable)
        finally:
            os.close(readable)


def sync_above(mailbox: MailboxPath) -> None:
    """Make the path of a Maildir durable, once in a process."""
    if mailbox in _synced:
        return
    for depth in range(len(mailbox.parts) + 1):
        with opened(MailboxPath(mailbox.root, mailbox.parts[:depth])) as directory:
            sync(directory)
    _synced.add(mailbox)


# -- the fixed part of the path


def _root(path: str, create: bool) -> Directory:
    if privileged():
        return _walk(path, create)
    return Directory(_open_root(path, create))


def _open_root(path: str, create: bool) -> int:
    try:
        return os.open(path, _PASS)
    except FileNotFoundError:
        if not create:
            raise
    above, name = os.path.split(path)
    parent = Directory(_open_root(above, create))
    try:
        return _below(parent, name, create, _PASS).descriptor
    finally:
        os.close(parent.descriptor)


def _walk(path: str, create: bool) -> Directory:
    """Open a directory as root, name by name, acting as the owner of each directory passed.

    A link is followed where only root can have made it: in a directory of root's. Any other link
    may have been made by a user, to lead root elsewhere.
    """
    names = deque(path.split("/"))
    links = 0
    way = [_top()]
    try:
        while names:
            name = names.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                if len(way) > 1:
                    os.close(way.pop().descriptor)
                continue
            target = _administrators_link(way[-1], name)
            if target is None:
                way.append(_below(way[-1], name, create, _PASS | os.O_NOFOLLOW))
                continue
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            names.extendleft(reversed(target.split("/")))
            if target.startswith("/"):
                _close(way)
                way = [_top()]
        return way.pop()
    finally:
        _close(way)


def _close(way: list[Directory]) -> None:
    while way:
        os.close(way.pop().descriptor)


def _top() -> Directory:
    descriptor = os.open("/", _PASS)
    return Directory(descriptor, owner_of(descriptor, None))


def _administrators_link(above: Directory, name: str) -> str | None:
    """Return the target of a link; None where `name` is no link. Raises OSError (ELOOP) for a link
    of a user's."""
    with acting_as(above.owner):
        try:
            found = os.stat(name, dir_fd=above.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(found.st_mode):
            return None
        if found.st_uid or (above.owner is not None and above.owner.user):
            raise OSError(
                errno.ELOOP,
                f"{name!r} in its path is a link of a user's, which root does not follow",
            )
        return os.readlink(name, dir_fd=above.descriptor)


# -- one step


def _part(above: Directory, name: str, create: bool, flags: int = _PASS) -> Directory:
    """Open a directory below the fixed part of the path, without following a link. Raises
    NotAMailbox where it is missing or no directory."""
    try:
        return _below(above, name, create, flags | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        if create:
            raise
        raise NotAMailbox(errno.ENOENT, "there is no such mailbox") from error
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise NotAMailbox(
                error.errno, f"{name!r} in its path is a link, or no directory"
            ) from error
        raise


def _below(above: Directory, name: str, create: bool, flags: int) -> Directory:
    """Open a directory in another one. With `create`, make it where it is missing."""
    with acting_as(above.owner):
        try:
            descriptor = os.open(name, flags, dir_fd=above.descriptor)
        except FileNotFoundError:
            if not create:
                raise
            _make(above, name)
            descriptor = os.open(name, flags, dir_fd=above.descriptor)
    return Directory(descriptor, owner_of(descriptor, above.owner))


def _make(above: Directory, name: str) -> None:
    """Make a directory as the owner of the one above. It may have been made by somebody else in the
    same moment."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above.descriptor)
        _make_private(above, name)
    sync(above)


def _make_private(above: Directory, name: str) -> None:
    """Set the mode to 0700 where the directory above passed on its set-group-ID bit. A directory
    with permissions for others was not made by us, so it stays as it is."""
    made = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=above.descriptor)
    try:
        mode = stat.S_IMODE(os.fstat(made).st_mode)
        if mode != 0o700 and not mode & 0o077:
            os.fchmod(made, 0o700)
    finally:
        os.close(made)
