"""Act as the owner of a directory when run as root. Nothing is done as root in a directory that
belongs to somebody else.

While mail is delivered, the owner may replace a name by a link, a FIFO or another directory. That
can lead us only to files that the owner could reach as well. What we make belongs to the owner from
the first moment, so it need not be changed afterwards. The owner's permissions and quota apply.

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
_PR_SET_DUMPABLE = 4
_NOBODY = 0xFFFFFFFF
"""An invalid id. The two calls leave the identity as it is, and return it."""
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
    """The owner that it acts as; None: root."""
    limited: bool = False
    """Quotas apply to it (`_obey_quotas`)."""


_identity = _ThreadIdentity()


def privileged() -> bool:
    """Return whether this process may act as others."""
    return os.geteuid() == 0


def owner_of(directory: int, above: Owner | None) -> Owner | None:
    """Return the owner to act as in an open directory; None: act as ourselves. `above` is the owner
    that we acted as to reach it.

    Below a user's directory nothing is done as root, even in a directory of root's, because the
    user may have moved it there.
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
    """Changes the identity of this thread, and changes it back."""

    def __init__(self, owner: Owner | None) -> None:
        self._owner = owner
        self._before = _identity.owner

    def __enter__(self) -> None:
        _become(self._owner)

    def __exit__(self, *_: object) -> None:
        _become(self._before)


def _become(owner: Owner | None) -> None:
    """Change this thread's identity. It goes back to root first, for only root may become another
    user. The user is set last, for only root may set the groups."""
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
    _remain_undumpable()
    _identity.owner = owner


def _become_root() -> None:
    """Go back to root. The thread's real UID and GID are root's, so this cannot fail."""
    _library().setfsuid(0)
    _library().setfsgid(os.getegid())
    _set_groups(_own_groups())
    _remain_undumpable()
    _identity.owner = None


def _remain_undumpable() -> None:
    """Forbid core files again. Each change of an identity sets fs.suid_dumpable, with which the
    system may hand a core file to a program of its own (prctl(2), proc(5); hazard S3)."""
    _library().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _check(owner: Owner) -> None:
    """Check that the change took effect, once for each owner. The two calls report no errors, but
    return the previous id."""
    if owner in _allowed:
        return
    now = Owner(_library().setfsuid(_NOBODY), _library().setfsgid(_NOBODY))
    if now != owner:
        raise _refused()
    _allowed.add(owner)


def _set_groups(groups: Sequence[int]) -> None:
    """Set the supplementary groups of this thread alone."""
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
    """Give up CAP_SYS_RESOURCE in this thread, for good. setfsuid does not take it away, and with
    it quotas do not apply, nor does the reserve of the file system for root."""
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
    """Return root's supplementary groups. They are read before anything is changed."""
    return tuple(os.getgroups())


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    for call in (library.setfsuid, library.setfsgid):
        call.argtypes, call.restype = [ctypes.c_uint32], ctypes.c_uint32
    return library
