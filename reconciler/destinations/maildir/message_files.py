"""Open files: writing, copying, comparing, and making them durable."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_CHUNK = 1 << 18
_ROOM: SimpleQueue[None] = SimpleQueue()
"""One for each file more that may wait for its batch with its descriptor open; a semaphore takes
ten times as long."""
for _ in range(256):
    _ROOM.put(None)
_SIDE_BY_SIDE = 4
_FEW = 4
"""Files that are not worth a thread of their own."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """A few threads for all sessions: what they sync at the same time shares commits of the file
    system's journal."""
    return ThreadPoolExecutor(8, thread_name_prefix="fsync")


def write(descriptor: int, content: bytes) -> int:
    """Write all of it; how many octets there are."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])
    return written


def copy(source: int, target: int, size: int) -> None:
    """The first `size` octets of `source`, from its beginning."""
    done = 0
    while done < size:
        sent = os.sendfile(target, source, done, size - done)
        if not sent:
            raise OSError(errno.ESTALE, "the file was truncated while it was copied")
        done += sent


def nameless() -> int:
    """A new file that nobody else can open."""
    with tempfile.TemporaryFile(buffering=0) as made:
        return os.dup(made.fileno())


def identity(descriptor: int) -> tuple[int, int]:
    """Device and inode."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def same(one: int, another: int, size: int) -> bool:
    """Whether two files hold the same `size` octets, and nothing else. No more is read, whatever
    becomes of them."""
    if not os.fstat(one).st_size == os.fstat(another).st_size == size:
        return False
    offset = 0
    while offset < size:
        chunk = os.pread(one, min(_CHUNK, size - offset), offset)
        if not chunk or chunk != os.pread(another, len(chunk), offset):
            return False
        offset += len(chunk)
    return True


def digest(descriptor: int, size: int) -> str:
    """SHA-256 of the first `size` octets, in hex."""
    found = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, min(_CHUNK, size - offset), offset):
        found.update(chunk)
        offset += len(chunk)
    return found.hexdigest()


def may_wait() -> bool:
    """Whether one more file may stay open until its batch is synced; `close` and `sync` give the
    place back."""
    try:
        _ROOM.get_nowait()
    except Empty:
        return False
    return True


def close(descriptor: int) -> None:
    """Of a file that waited."""
    _ROOM.put(None)
    os.close(descriptor)


def sync(descriptors: Sequence[int]) -> list[OSError | None]:
    """Make files that waited durable, and close them, whatever happens; what each met. A file whose
    sync failed is never synced again: the kernel forgets what it could not write (hazard D2)."""
    try:
        for descriptor in descriptors:
            with suppress(
                OSError
            ):  # only so that it begins to write: one journal commit is for all
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        shares = max(1, min(_SIDE_BY_SIDE, len(descriptors) // _FEW))
        met = side_by_side(_sync_each, [descriptors[share::shares] for share in range(shares)])
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
    """Closing has nothing left to tell, not even on NFS. Neighbours go together: with each call the
    interpreter changes hands, and there are mostly a hundred of them."""
    for _, numbered in groupby(enumerate(sorted(descriptors)), lambda pair: pair[1] - pair[0]):
        run = [descriptor for _, descriptor in numbered]
        os.closerange(run[0], run[-1] + 1)
        for _ in run:
            _ROOM.put(None)


def side_by_side(act: Callable[[T], R], each: Sequence[T]) -> list[R]:
    """What `act` gives for each: for the first one in this thread, for the others in more, as far
    as there may be more. The first error is raised when all are done."""
    if len(each) == 1:
        return [act(each[0])]
    works = [_SharedTask(functools.partial(act, one)) for one in each]
    here = works[:1] + [work for work in works[1:] if not _begun(work)]
    for work in here:
        work.run()
    wait(work.done for work in works)
    return [work.done.result() for work in works]


class _SharedTask(Generic[R]):
    """Done once, by the thread that comes first."""

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


def _begun(work: _SharedTask[R]) -> bool:
    """Whether a thread may do it. No further one can be started where the limit of processes is
    reached (hazard R1); it is in their queue even then."""
    try:
        _threads().submit(work.run)
    except RuntimeError:
        return False
    return True
