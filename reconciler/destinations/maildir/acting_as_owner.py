"""Run as root, nothing is done as root in a directory that belongs to somebody else: a thread acts
as that owner.

What the owner does meanwhile (a link, a FIFO, another directory in the place of one) can then lead
us only to what he could reach himself; what we make is his from the first moment, so nothing is
given away afterwards; his permissions and his quota hold. By setfsuid(2) and setfsgid(2): they hold
for one thread, take all capabilities for files from it as long as they last, and, other than the
effective user, let nobody send us signals. A helper process for each owner would take as long for
each step, and a fork and its memory for each owner.

The C library's functions set one thread's identity, not the process's. Supplementary groups would
still be root's, so they are put off too, by the bare system call: the library's function would
change them for all threads.
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
"""Whom this process could become."""


class Owner(NamedTuple):
    """A user's and a group's number."""

    user: int
    group: int


class _ThreadIdentity(threading.local):
    """Of this thread."""

    owner: Owner | None = None
    """Whom it acts as; None: root."""
    limited: bool = False
    """Quotas hold for it."""


_identity = _ThreadIdentity()


def privileged() -> bool:
    """Whether this process may act as others."""
    return os.geteuid() == 0


def owner_of(directory: int, above: Owner | None) -> Owner | None:
    """Whom to act as in an open directory that was reached as `above`; None: as ourselves.

    Once on the way a directory belonged to a user, what is below never makes us root again: he may
    have put it there.
    """
    if not privileged():
        return None
    found = os.fstat(directory)
    if above is not None and above.user and not found.st_uid:
        return above
    owner = Owner(found.st_uid, found.st_gid)
    return None if owner == (0, os.getegid()) else owner


def acting_as(owner: Owner | None) -> AbstractContextManager[None]:
    """Do what is inside as `owner`, in this thread. No thread may be started inside, and nothing be
    loaded. OSError where this root may not act as others."""
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
    """Through root, who alone may become another one; the user comes last, for the groups need
    root."""
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
    """Its real user and group are root's, so that nothing can refuse this."""
    _library().setfsuid(0)
    _library().setfsgid(os.getegid())
    _set_groups(_own_groups())
    _identity.owner = None


def _check(owner: Owner) -> None:
    """The two calls return what was before, and no errors. What is allowed once stays so."""
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
    """CAP_SYS_RESOURCE is no capability for files, yet it passes quotas and takes what is reserved
    for root: this thread goes without, for good."""
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
