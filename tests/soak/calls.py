"""System calls that fail while the program runs, injected by strace."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable

FAILURES = (
    ("fsync,fdatasync", ("EIO", "ENOSPC", "EDQUOT")),
    ("write,pwrite64", ("ENOSPC", "EIO", "EDQUOT")),
    ("read,pread64", ("EIO",)),
    ("openat", ("EMFILE", "ENFILE", "EIO", "EACCES")),
    ("link,linkat", ("EDQUOT", "ENOSPC", "EMLINK", "EIO")),
    ("unlink,unlinkat,rename,renameat2", ("EIO", "EROFS")),
    ("newfstatat,fstat,statfs,fstatfs", ("EIO", "ESTALE")),
    ("getdents64", ("EIO",)),
    ("mkdir,mkdirat", ("ENOSPC", "EACCES")),
    ("fcntl,flock", ("ENOLCK", "EINTR")),
    ("clone,clone3", ("EAGAIN",)),
    ("mmap", ("ENOMEM",)),
    ("socket,accept4", ("EMFILE", "ENOBUFS")),
    ("connect", ("EHOSTUNREACH", "EADDRNOTAVAIL", "ETIMEDOUT")),
    ("recvfrom,sendto", ("ECONNRESET", "ETIMEDOUT", "ENETDOWN")),
    ("poll,ppoll,epoll_wait,epoll_pwait", ("EINTR",)),
)
"""Calls, and what they say then."""


def failing(pid: int, chance: random.Random, meanwhile: Callable[[], None]) -> str:
    """While `meanwhile` goes on, every so many of some kind of call fail. Which."""
    calls, errors = chance.choice(FAILURES)
    error, first, every = (
        chance.choice(errors),
        chance.randrange(1, 20),
        chance.choice((1, 3, 10, 40)),
    )
    with subprocess.Popen(
        [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-p",
            str(pid),
            "-e",
            "signal=none",
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:error={error}:when={first}+{every}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as tracing:
        try:
            meanwhile()
        finally:
            tracing.terminate()
    return f"{calls} {error} {first}+{every}"
