"""The clock of the event loop, and threads for the calls that would block it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from reconciler.model.errors import NoThread


class Clock:
    """Durations are of the event loop's monotonic clock; moments that are shown or kept are of the
    wall clock, which may jump (hazard R2)."""

    def monotonic(self) -> float:
        """Return seconds of the running event loop's clock."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def at(self, moment: float) -> datetime:
        """Return what the wall clock will show at this monotonic time, as far as can be told
        now."""
        return self.now() + timedelta(seconds=moment - self.monotonic())


P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """Threads for the blocking calls of one purpose, so that no other purpose waits for them. At
    most `size` calls run at once; the others wait for their turn."""

    def __init__(self, purpose: str, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=purpose)
        self._closed = False

    async def run(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Make the call in a thread and return what it returns. Raises NoThread where nothing was
        done, because the system gives no more threads (hazard R1)."""
        return await asyncio.wrap_future(self._begun(functools.partial(call, *arguments, **named)))

    def _begun(self, call: Callable[[], T]) -> Future[T]:
        """Submit the call.

        Where `submit` finds no thread, the call stays in its queue, and another thread may run it
        later. So it is taken back: nothing is to be done that nobody waits for.
        """
        work: Future[T] = Future()
        try:
            self._pool.submit(_do, call, work)
        except RuntimeError as error:
            if self._closed:
                raise
            if work.cancel():
                raise NoThread(f"the system gives no more threads: {error}") from error
        return work

    def close(self) -> None:
        """Take no more calls; those that run are not waited for."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)


def _do(call: Callable[[], T], work: Future[T]) -> None:
    if not work.set_running_or_notify_cancel():
        return
    try:
        work.set_result(call())
    except BaseException as error:  # noqa: BLE001  # as in any executor: the caller gets it
        work.set_exception(error)
