"""Settings of the process itself: no core dumps, memory returned to the system, early signals."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

_PR_SET_DUMPABLE = 4
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE = 1 << 20
_ARENAS = 2
"""The number of malloc's arenas. All threads share the interpreter's lock, so more arenas would
only keep more memory each."""


def forbid_core_dumps() -> None:
    """Keep secrets out of core files, and of everybody who may trace this process.

    No core file is written; `/proc/PID/mem` and ptrace(2) are for root alone (prctl(2); hazard S3).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def return_large_blocks() -> None:
    """Return the memory of a large listing to the system once it is freed.

    Blocks of 1 MiB and more get a mapping of their own, which ends with them (mallopt(3)).
    Otherwise glibc puts blocks of up to 32 MiB on its heap once one of that size was freed. Any
    small block behind them then keeps them there. Other C libraries have no mallopt: nothing is
    set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, _ARENAS)


def end_well_while_starting() -> None:
    """End the process with exit code 0 at SIGTERM or SIGINT, until the daemon handles them itself.

    It may end anywhere: what is written so far outlasts SIGKILL too.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1), and `&` in a script
            signal.signal(number, lambda *_: os._exit(0))
