"""Threads for blocking calls, for one purpose each: what one purpose waits for delays no other one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `size` calls at once; the others wait for their turn."""

    def __init__(self, purpose: str, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=purpose)

    async def run(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        bound = functools.partial(call, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._pool, bound)

    def close(self) -> None:
        """Take no more calls; those that are under way are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
