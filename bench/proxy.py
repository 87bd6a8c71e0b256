"""A server that is far away: a TCP proxy that holds everything back for a while, in both
directions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

_PIECE = 1 << 18
_UNDER_WAY = 512
"""Pieces that may be on their way in one direction: 128 MiB, so that the bandwidth has hardly a
limit."""


class Proxy:
    """In a thread; `port` is where to connect. The handshake of TCP costs a round trip, too; slow
    start is left out."""

    def __init__(self, target: int, round_trip: float) -> None:
        """`round_trip` in seconds."""
        self._target = target
        self._one_way = round_trip / 2
        self.port = 0

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(ready),)
        )
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self._one_way)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._carry(reader, far_writer),
                self._carry(far_reader, writer),
                return_exceptions=True,
            )  # whoever has hung up
        far_writer.close()
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
        hand_on = asyncio.ensure_future(self._hand_on(pieces, writer))
        try:
            while piece := await reader.read(_PIECE):
                await pieces.put((self._loop.time() + self._one_way, piece))
            await pieces.put((self._loop.time() + self._one_way, b""))
        finally:
            await hand_on

    async def _hand_on(
        self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not piece:
                break
            with contextlib.suppress(OSError):  # that side has hung up: the rest goes nowhere
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
