"""Make the files of a batch durable, several at a time."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_ROOM: SimpleQueue[None] = SimpleQueue()
"""An item for each further file that may stay open until its batch is synced. A semaphore would
take ten times as long."""
for _ in range(256):
    _ROOM.put(None)
_SIDE_BY_SIDE = 4
"""Threads that one batch uses at most."""
_FEW = 4
"""Files below which a further thread is not worth it."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Return the few threads that all sessions share. Files that are synced at the same time share
    commits of the file system's journal."""
    return ThreadPoolExecutor(8, thread_name_prefix="fsync")


def may_stay_open() -> bool:
    """Return whether one more file may stay open until its batch is synced. If so, `close` or
    `sync` has to follow: they give the place back."""
    try:
        _ROOM.get_nowait()
    except Empty:
        return False
    return True


def close(descriptor: int) -> None:
    """Close a file that waited, without syncing it."""
    _ROOM.put(None)
    os.close(descriptor)


def sync(descriptors: Sequence[int]) -> list[OSError | None]:
    """Make files that waited durable and close them, whatever happens; return each one's error.

    A file whose sync failed is never synced again: the kernel forgets what it could not write
    (hazard D2).
    """
    try:
        for descriptor in descriptors:
            # This starts writing all of them, so that one commit of the journal is for all.
            with suppress(OSError):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        shares = max(1, min(_SIDE_BY_SIDE, len(descriptors) // _FEW))
        met = run_in_parallel(_sync_each, [descriptors[share::shares] for share in range(shares)])
    finally:
        _close_synced(descriptors)
    found: list[OSError | None] = [None] * len(descriptors)
    for share, errors in enumerate(met):
        found[share::shares] = errors
    return found


def _sync_each(descriptors: Sequence[int]) -> list[OSError | None]:
    return [_sync(descriptor) for descriptor in descriptors]


def _sync(descriptor: int) -> OSError | None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    return None


def _close_synced(descriptors: Iterable[int]) -> None:
    """Close them. After a sync, closing reports no further errors, not even on NFS.

    Consecutive numbers are closed by one call. A batch mostly has a hundred files, and each call
    could wait for other threads.
    """
    for _, numbered in groupby(enumerate(sorted(descriptors)), lambda pair: pair[1] - pair[0]):
        run = [descriptor for _, descriptor in numbered]
        os.closerange(run[0], run[-1] + 1)
        for _ in run:
            _ROOM.put(None)


def run_in_parallel(act: Callable[[T], R], each: Sequence[T]) -> list[R]:
    """Call `act` for each item: for the first one in this thread, for the others in further threads
    as far as there are any. Return the results in order. The first error is raised when all are
    done."""
    if len(each) == 1:
        return [act(each[0])]
    tasks = [_SharedTask(functools.partial(act, one)) for one in each]
    # This thread also runs the tasks for which no other thread could be had.
    here = tasks[:1] + [task for task in tasks[1:] if not _submitted(task)]
    for task in here:
        task.run()
    wait(task.done for task in tasks)
    return [task.done.result() for task in tasks]


class _SharedTask(Generic[R]):
    """A call that is made once, by the thread that comes first."""

    def __init__(self, act: Callable[[], R]) -> None:
        self._act = act
        self._free = threading.Lock()
        self.done: Future[R] = Future()

    def run(self) -> None:
        if not self._free.acquire(blocking=False):
            return
        try:
            self.done.set_result(self._act())
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            self.done.set_exception(error)


def _submitted(task: _SharedTask[R]) -> bool:
    """Return whether a thread of the pool may run the task. Where the limit of processes is
    reached, no further thread starts (hazard R1). Even then the task is in the pool's queue."""
    try:
        _threads().submit(task.run)
    except RuntimeError:
        return False
    return True
