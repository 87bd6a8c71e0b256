"""What a large listing took in memory goes back to the system when it is over."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE = 1 << 20
_ARENAS = 2
"""All threads share the interpreter's lock: more would only keep more memory each."""


def returning() -> None:
    """Blocks of 1 MiB and more get a mapping of their own, which ends with them: glibc otherwise
    puts blocks of up to 32 MiB on its heap once one of the size was freed, where any small one
    behind them keeps them (mallopt(3)). Nothing where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, _ARENAS)
