"""A process that reads secrets leaves none of them in a core file, nor to whoever may trace it."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def undumpable() -> None:
    """No core file, and `/proc/PID/mem` and ptrace(2) for root alone (prctl(2); hazard S3)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
