"""A Maildir's directories, opened and made without following anybody's links."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from reconciler.destinations.maildir.errors import NotAMailbox
from reconciler.destinations.maildir.places import Place
from reconciler.model.errors import DestinationUnavailable

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_making = threading.Lock()
_synced: set[Place] = set()
_devices: dict[str, int] = {}
"""On which file system each template's fixed part was first seen by this process."""


@contextmanager
def opened(place: Place, *, create: bool = False) -> Iterator[int]:
    """The descriptor of a Maildir's own directory. With `create` it is made, and what is missing above it.

    NotAMailbox where it is missing, or reached through a link; DestinationUnavailable where the whole root is not what
    it was; OSError for everything else.
    """
    with ExitStack() as stack:
        here = _root(place.root, create)
        stack.callback(os.close, here)
        for part in place.parts:
            here = _below(here, part, create)
            stack.callback(os.close, here)
        yield here


@contextmanager
def inside(box: int, name: str) -> Iterator[int]:
    """The descriptor of `tmp`, `new` or `cur`, made where it is missing; it can be synced."""
    below = descriptor(box, name)
    try:
        yield below
    finally:
        os.close(below)


def descriptor(box: int, name: str) -> int:
    """The same, to be closed by the caller."""
    return _below(box, name, create=True, flags=_READ)


def complete(box: int) -> None:
    """Make what a Maildir consists of; `tmp` last, so that it tells of the others."""
    for name in ("cur", "new", "tmp"):
        with inside(box, name):
            pass


def contains(directory: int, name: str) -> bool:
    """Whether there is anything of that name."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        return True
    return False


def sync(directory: int) -> None:
    """Make the names in it durable."""
    with suppress(PermissionError):  # we may pass but not read: then we have made nothing in it either
        readable = os.open(".", _READ, dir_fd=directory)
        try:
            os.fsync(readable)
        finally:
            os.close(readable)


def sync_above(place: Place) -> None:
    """Make the Maildir itself findable after a power cut; once in a process is enough."""
    if place in _synced:
        return
    for depth in range(len(place.parts) + 1):
        with opened(Place(place.root, place.parts[:depth])) as directory:
            sync(directory)
    _synced.add(place)


def _root(path: str, create: bool) -> int:
    _check_mounted(path)
    return _open_root(path, create)


def _check_mounted(root: str) -> None:
    """A root that is on another file system than before was unmounted: what we put there now would be hidden by the
    next mount (hazard D3). Where it is missing, the nearest directory above tells."""
    device = _device(root)
    if _devices.setdefault(root, device) != device:
        raise DestinationUnavailable(f"cannot deliver to {root}: another file system was mounted there before; mount "
                                     "it again, or restart mailcollector if this is meant")


def _device(path: str) -> int:
    while True:
        try:
            return os.stat(path).st_dev  # noqa: PTH116  # hot: once for each message
        except FileNotFoundError:
            path = os.path.dirname(path)  # noqa: PTH120


def _open_root(path: str, create: bool) -> int:
    try:
        return os.open(path, _PASS)
    except FileNotFoundError:
        if not create:
            raise
    above, name = os.path.split(path)
    parent = _open_root(above, create)
    try:
        return _below(parent, name, create, links=True)
    finally:
        os.close(parent)


def _below(parent: int, name: str, create: bool, *, flags: int = _PASS, links: bool = False) -> int:
    flags |= 0 if links else os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError as error:
        if not create:
            raise NotAMailbox(errno.ENOENT, "there is no such mailbox") from error
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise NotAMailbox(error.errno, f"{name!r} on its way is a link, or no directory") from error
        raise
    with _making:
        if not contains(parent, name):
            _make(parent, name)
    return os.open(name, flags, dir_fd=parent)


def _make(parent: int, name: str) -> None:
    """A directory that is ours alone until it has its owner and its mode, durably."""
    draft = f".mailcollector-{secrets.token_hex(8)}"
    os.mkdir(draft, 0o700, dir_fd=parent)
    try:
        made = os.open(draft, _READ, dir_fd=parent)
        try:
            if (owner := heir(parent)) is not None:
                os.fchown(made, *owner)
            os.fchmod(made, 0o700)
        finally:
            os.close(made)
        os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        os.rmdir(draft, dir_fd=parent)
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # somebody else was faster: theirs will do
            raise
    sync(parent)


def heir(directory: int) -> tuple[int, int] | None:
    """As root, whom everything in a directory is to belong to: its own owner and group. None: it does by itself."""
    if os.geteuid() != 0:
        return None
    above = os.fstat(directory)
    alike = (above.st_uid, above.st_gid) == (0, os.getegid())
    return None if alike else (above.st_uid, above.st_gid)
