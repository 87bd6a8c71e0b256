"""Act as the owner of a directory when run as root. Nothing is done as root in a directory that
belongs to somebody else.

Meanwhile the owner may put a link, a FIFO or another directory in the way. That can then lead us
only to what he could reach himself. What we make is his from the first moment, so its owner need
not be changed afterwards. His permissions and his quota apply.

This is done by setfsuid(2) and setfsgid(2). They apply to one thread, and take all capabilities for
files from it as long as they last. Unlike a change of the effective user, they let nobody send us
signals. A helper process for each owner would take as long for each step, and cost a fork and its
memory.

The C library's functions for these two calls set one thread's identity. For supplementary groups
its function changes all threads, so the system call is made directly.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

_SETGROUPS = {
    "x86_64": 116,
    "aarch64": 159,
    "riscv64": 159,
    "loongarch64": 159,
    "armv7l": 206,
    "armv6l": 206,
    "i686": 206,
    "i386": 206,
    "ppc64le": 81,
    "s390x": 206,
}
"""Numbers of the system call that takes groups of 32 bits."""
_CAPABILITIES_3 = 0x20080522
_SYS_RESOURCE = 1 << 24
_NOBODY = 0xFFFFFFFF
_NOTHING = nullcontext()
_allowed: set[Owner] = set()
"""Owners that this process has acted as successfully."""


class Owner(NamedTuple):
    """A UID and a GID."""

    user: int
    group: int


class _ThreadIdentity(threading.local):
    """The identity of the current thread."""

    owner: Owner | None = None
    """Whom it acts as; None: root."""
    limited: bool = False
    """Quotas apply to it (`_obey_quotas`)."""


_identity = _ThreadIdentity()


def privileged() -> bool:
    """Return whether this process may act as others."""
    return os.geteuid() == 0


def owner_of(directory: int, above: Owner | None) -> Owner | None:
    """Return whom to act as in an open directory that was reached as `above`; None: as ourselves.

    Below a user's directory we never act as root again, even in a directory of root's: the user may
    have moved it there.
    """
    if not privileged():
        return None
    found = os.fstat(directory)
    if above is not None and above.user and not found.st_uid:
        return above
    owner = Owner(found.st_uid, found.st_gid)
    return None if owner == (0, os.getegid()) else owner


def acting_as(owner: Owner | None) -> AbstractContextManager[None]:
    """Run the block as `owner`, in this thread. The block must start no threads and import nothing.
    Raises OSError where this root may not act as others."""
    return _NOTHING if owner == _identity.owner else _Acting(owner)


class _Acting(AbstractContextManager[None]):
    def __init__(self, owner: Owner | None) -> None:
        self._owner = owner
        self._before = _identity.owner

    def __enter__(self) -> None:
        _become(self._owner)

    def __exit__(self, *_: object) -> None:
        _become(self._before)


def _become(owner: Owner | None) -> None:
    """Change this thread's identity, first back to root, for only root may become somebody else. The
    user is set last: only root may set the groups."""
    if _identity.owner is not None:
        _become_root()
    if owner is None:
        return
    try:
        if owner.user:
            _obey_quotas()
            _set_groups(())
        _library().setfsgid(owner.group)
        if owner.user:
            _library().setfsuid(owner.user)
        _check(owner)
    except OSError:
        _become_root()
        raise
    _identity.owner = owner


def _become_root() -> None:
    """Go back to root. The thread's real UID and GID are root's, so this cannot fail."""
    _library().setfsuid(0)
    _library().setfsgid(os.getegid())
    _set_groups(_own_groups())
    _identity.owner = None


def _check(owner: Owner) -> None:
    """Check that the change took effect: the two calls report no errors, but return the previous id.
    Once per owner is enough."""
    if owner in _allowed:
        return
    now = Owner(_library().setfsuid(_NOBODY), _library().setfsgid(_NOBODY))
    if now != owner:
        raise _refused()
    _allowed.add(owner)


def _set_groups(groups: Sequence[int]) -> None:
    if not _own_groups():
        return
    number = _SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(
            errno.ENOSYS,
            f"on {platform.machine()} root cannot act as a mailbox's owner: run mailcollector "
            "as the owner of the Maildirs",
        )
    listed = (ctypes.c_uint32 * len(groups))(*groups)
    if _library().syscall(ctypes.c_long(number), ctypes.c_size_t(len(groups)), listed) != 0:
        raise _refused()


def _refused() -> PermissionError:
    return PermissionError(
        errno.EPERM,
        "root may not act as the owner of this directory: it lacks CAP_SETUID or "
        "CAP_SETGID, or the owner is unknown in its user namespace",
    )


def _obey_quotas() -> None:
    """Give up CAP_SYS_RESOURCE in this thread, for good. It is not one of the capabilities for files
    that setfsuid takes away, but it ignores quotas and uses the space reserved for root."""
    if _identity.limited:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if _library().capget(header, sets) == 0:
        sets[0] &= ~_SYS_RESOURCE
        if _library().capset(header, sets) != 0:
            raise _refused()
    _identity.limited = True


@functools.cache
def _own_groups() -> tuple[int, ...]:
    """Root's supplementary groups, asked before anything is changed."""
    return tuple(os.getgroups())


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    for call in (library.setfsuid, library.setfsgid):
        call.argtypes, call.restype = [ctypes.c_uint32], ctypes.c_uint32
    return library
