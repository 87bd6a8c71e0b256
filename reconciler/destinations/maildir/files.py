"""Open files: writing, copying, comparing, and making them durable."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_CHUNK = 1 << 18
_WAITING = threading.BoundedSemaphore(64)
"""So many files of all sessions wait for the disk with their descriptors open; the next writer waits for one."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """A few threads for all sessions: what they sync at the same time shares commits of the file system's journal."""
    return ThreadPoolExecutor(8, thread_name_prefix="fsync")


def write(descriptor: int, content: Iterable[bytes]) -> int:
    """Write all of it; how many octets there were."""
    size = 0
    for chunk in content:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(descriptor, rest):]
        size += len(chunk)
    return size


def copy(source: int, target: int, size: int) -> None:
    """The first `size` octets of `source`, from its beginning."""
    done = 0
    while done < size:
        sent = os.sendfile(target, source, done, size - done)
        if not sent:
            raise OSError("the file was truncated while it was copied")
        done += sent


def same(one: int, another: int) -> bool:
    """Whether two files hold the same."""
    if os.fstat(one).st_size != os.fstat(another).st_size:
        return False
    offset = 0
    while chunk := os.pread(one, _CHUNK, offset):
        if chunk != os.pread(another, _CHUNK, offset):
            return False
        offset += len(chunk)
    return True


def digest(descriptor: int) -> str:
    """SHA-256 of the content, in hex."""
    found = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        found.update(chunk)
        offset += len(chunk)
    return found.hexdigest()


def sync_later(descriptor: int) -> Future[None]:
    """Make it durable, then close it, in another thread; the OSError that this meets is the future's. A file whose sync
    failed is never synced again: the kernel forgets what it could not write (hazard D2)."""
    _WAITING.acquire()
    return _threads().submit(_sync_and_close, descriptor)


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        try:
            os.close(descriptor)  # NFS tells of a full disk here
        finally:
            _WAITING.release()


def at_once(act: Callable[[T], None], each: Iterable[T]) -> None:
    """Call `act` for each, side by side; the first error is raised when all are done."""
    failures = [future.exception() for future in [_threads().submit(act, one) for one in each]]
    for failure in failures:
        if failure:
            raise failure
