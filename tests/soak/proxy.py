"""A TCP proxy that makes connections fail, be slow or silent, at random and when told."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_PIECE = 1 << 14
_DROP = 64
"""Octets at once where it is slow, twenty times a second."""


class Proxy:
    """Listens on `port` and passes on to the port that `target` names at that moment. Of each
    hundred connections `fragile` are cut after some octets, be it in the greeting, be it after a
    hundred thousand. `refusing`, `slow` and `silent` hold for every connection while they are set.
    """

    def __init__(self, target: Callable[[], int], chance: random.Random, fragile: int) -> None:
        self._target = target
        self._chance = chance
        self._fragile = fragile
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self.refusing = self.slow = self.silent = False
        self.connections = 0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True
        )
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def cut(self) -> None:
        """Every connection that is open now, with RST."""
        self._loop.call_soon_threadsafe(self._cut_all)

    def sturdy(self) -> None:
        """No more faults."""
        self._fragile = 0
        self.refusing = self.slow = self.silent = False

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        self._cut_all()

    def _cut_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self.cuts += len(self._open) // 2

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there}
        self._open |= pair
        budget = (
            int(10 ** self._chance.uniform(1.5, 5))
            if self._chance.randrange(100) < self._fragile
            else 1 << 62
        )
        try:
            await asyncio.gather(
                self._pump(reader, there, 1 << 62), self._pump(there_reader, writer, budget)
            )
        finally:
            self._open -= pair
            for each in pair:
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int
    ) -> None:
        """Until the end, or until so many octets were passed on."""
        try:
            while data := await reader.read(min(_DROP if self.slow else _PIECE, budget)):
                while self.silent:  # noqa: ASYNC110  # set by another thread
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
                budget -= len(data)
                if budget <= 0:
                    self.cuts += 1
                    raise ConnectionResetError
                if self.slow:
                    await asyncio.sleep(0.05)
            writer.close()
        except OSError:
            writer.transport.abort()
