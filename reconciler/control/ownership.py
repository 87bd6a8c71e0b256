"""Who owns the state directory: one process at a time (hazard R7)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.model.errors import CollectorError

LOCK = "owner.lock"


class StateOwned(CollectorError):
    """Another process owns the state directory, or it cannot be owned at all."""

    reason = "StateOwned"


@contextmanager
def owned(state_dir: Path) -> Iterator[None]:
    """Own `state_dir`, which is made (0700) if it is not there, until the context ends. Raises StateOwned.

    The kernel drops the lock with the process, however that ends, so a stale one cannot be.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateOwned(f"the state directory {state_dir} cannot be used: {error.strerror}; "
                         "name another one with --state-dir, or mend its permissions") from error
    try:
        _lock(lock, state_dir)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, state_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise StateOwned(f"the state directory {state_dir} is in use by the process {owner}; stop that one first, "
                         "or give this one a directory of its own with --state-dir") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
