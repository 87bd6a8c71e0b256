"""Lets one process at a time own the state directory (hazard R7)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.disk import NotAFile, obstacle, open_file
from reconciler.log import log
from reconciler.model.errors import CollectorError

LOCK = "owner.lock"


class StateOwned(CollectorError):
    """Another process owns the state directory, or it cannot be owned at all."""

    reason = "StateOwned"


@contextmanager
def owned(state_dir: Path) -> Iterator[None]:
    """Keep other processes from using `state_dir` until the context ends. The directory is made
    (0700) if it does not exist.

    The kernel drops the lock with the process, however that ends, so there are no stale locks.
    Raises StateOwned.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open_file(state_dir / LOCK, os.O_RDWR | os.O_CREAT)
    except NotAFile as error:
        raise StateOwned(
            f"{state_dir / LOCK} cannot be locked: {error.strerror}; remove it, and start again: "
            "it is made anew"
        ) from error
    except OSError as error:
        trouble = error.strerror
        if isinstance(error, FileExistsError):
            trouble = f"it is {obstacle(state_dir) or 'a file'}, not a directory"
        raise StateOwned(
            f"the state directory {state_dir} cannot be used: {trouble}; "
            "name another one with --state-dir, or fix its permissions"
        ) from error
    _warn_of_others(state_dir)
    try:
        _lock(lock, state_dir)
        yield
    finally:
        os.close(lock)


def _warn_of_others(state_dir: Path) -> None:
    """Warn where others could put another ledger into the directory: they own it, or may write
    there."""
    found = state_dir.stat()
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & 0o022:
        log.warning(
            "the state directory belongs to another user, or others may write there: they decide "
            "what was collected; give it to this user, mode 0700",
            directory=str(state_dir),
            owner=found.st_uid,
            mode=f"{found.st_mode & 0o7777:04o}",
        )


def _lock(lock: int, state_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise StateOwned(
            f"the state directory {state_dir} is in use by the process {owner}; stop that one "
            "first, or give this one a directory of its own with --state-dir"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
