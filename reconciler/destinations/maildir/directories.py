"""A Maildir's directories, opened and made without following anybody's links, and as their owner
(`acting`)."""

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
"""So many are followed, as the kernel does."""
_synced: set[MailboxPath] = set()


class Directory(NamedTuple):
    """An open one, and whom to act as in it."""

    descriptor: int
    owner: Owner | None = None


@contextmanager
def opened(place: MailboxPath, *, create: bool = False) -> Iterator[Directory]:
    """A Maildir's own directory. With `create` it is made, and what is missing above it.

    NotAMailbox where it is missing, or reached through a link; OSError for everything else.
    """
    with ExitStack() as stack:
        here = _root(place.root, create)
        stack.callback(os.close, here.descriptor)
        for part in place.parts:
            here = _part(here, part, create)
            stack.callback(os.close, here.descriptor)
        yield here


@contextmanager
def inside(box: Directory, name: str) -> Iterator[Directory]:
    """A Maildir's `tmp`, `new` or `cur`, made where it is missing; it can be synced."""
    below = descend(box, name)
    try:
        yield below
    finally:
        os.close(below.descriptor)


def descend(box: Directory, name: str) -> Directory:
    """The same, to be closed by the caller. Where the Maildir is a user's, nobody else's rights are
    used in it."""
    below = _part(box, name, create=True, flags=_READ)
    if box.owner is None or below.owner is None or box.owner.user in (0, below.owner.user):
        return below
    return below._replace(owner=box.owner)


def complete(box: Directory) -> None:
    """Make what a Maildir consists of; `tmp` last, so that it tells of the others."""
    for name in ("cur", "new", "tmp"):
        with inside(box, name):
            pass


def contains(directory: Directory, name: str) -> bool:
    """Whether there is anything of that name."""
    with acting_as(directory.owner), suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        return True
    return False


def sync(directory: Directory) -> None:
    """Make the names in it durable."""
    with suppress(PermissionError), acting_as(directory.owner):
        readable = os.open(
            ".", _READ, dir_fd=directory.descriptor
        )  # EACCES: then we have made nothing in it either
        try:
            os.fsync(readable)
        finally:
            os.close(readable)


def sync_above(place: MailboxPath) -> None:
    """Make the Maildir itself findable after a power cut; once in a process is enough."""
    if place in _synced:
        return
    for depth in range(len(place.parts) + 1):
        with opened(MailboxPath(place.root, place.parts[:depth])) as directory:
            sync(directory)
    _synced.add(place)


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
    """As root, name by name: each directory is passed as its owner. Links are followed where only
    root can have made them, in its own directories; a user's would let him choose where we work."""
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
    """Where it leads; None where it is no link. OSError where it is a user's."""
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
                f"{name!r} on its way is a link of a user's, which root does not follow",
            )
        return os.readlink(name, dir_fd=above.descriptor)


# -- one step


def _part(above: Directory, name: str, create: bool, flags: int = _PASS) -> Directory:
    """What is below the fixed part is a mailbox's."""
    try:
        return _below(above, name, create, flags | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        if create:
            raise
        raise NotAMailbox(errno.ENOENT, "there is no such mailbox") from error
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise NotAMailbox(
                error.errno, f"{name!r} on its way is a link, or no directory"
            ) from error
        raise


def _below(above: Directory, name: str, create: bool, flags: int) -> Directory:
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
    """It belongs to whom the directory above does, for that is whom we act as. Where somebody else
    was faster, his will do."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above.descriptor)
        _make_private(above, name)
    sync(above)


def _make_private(above: Directory, name: str) -> None:
    """The directory above may have given it the bit of its group. Nothing is done to one that it
    cannot be."""
    made = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=above.descriptor)
    try:
        mode = stat.S_IMODE(os.fstat(made).st_mode)
        if mode != 0o700 and not mode & 0o077:
            os.fchmod(made, 0o700)
    finally:
        os.close(made)
