"""Connections to the API: how long a client may take, and how many there may be (hazards W5, R1).

A client has 10 seconds for each request, headers and body, and as long to take what it is sent;
bytes that dribble in do not prolong that. At the limit of connections, the one that has waited
longest without a whole request is closed. When the process has no descriptors left, that is told
once, and tried again each second.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from reconciler.log import log

TIMEOUT = 10.0
"""Seconds for a request to arrive, or for an answer to be taken."""
BACKLOG = 256
"""Connections that the kernel keeps until they are accepted. If there is no room, the kernel
refuses a client of the socket at once (EAGAIN), and a client of TCP waits for a second."""
_PAUSE = 1.0
"""Seconds until the next attempt to accept after one that failed."""


class HttpConnection(H11Protocol):
    """A connection that closes itself when its client is too slow."""

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self.since = self.loop.time()
        """When waiting for the client began."""
        self._deadline: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for the client: no request is being answered, or part of it is
        missing."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def open(self) -> bool:
        return not self.transport.is_closing()

    # as in uvicorn
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.resume_writing()
        if self._deadline is not None:
            self._deadline.cancel()

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        self._stop_waiting()
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self._untaken or self.loop.call_later(TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _look(self) -> None:
        if not self.waits:
            self._stop_waiting()
        elif self._deadline is None and self.open:
            self.since = self.loop.time()
            self._deadline = self.loop.call_later(TIMEOUT, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class HttpServer(uvicorn.Server):
    """Accepts at most `most` connections. Signals are the daemon's."""

    def __init__(self, app: Any, most: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                log_level="critical",
                server_header=False,
                # else uvicorn believes X-Forwarded-For of every local program: see trusted_proxy
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._most = most
        self._accepting: list[asyncio.Task[None]] = []
        self._refusal = ""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        for listener in sockets or ():
            listener.listen(BACKLOG)
            listener.setblocking(False)
            self._accepting.append(
                asyncio.create_task(self._accept(listener), name="API: accepting")
            )
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                opened, _ = await loop.sock_accept(listener)
            except OSError as error:
                await self._pause(error)
                continue
            if self._refusal:
                self._refusal = ""
                log.info("the API takes connections again")
            if not self._has_room():
                opened.close()
                await asyncio.sleep(0)
                continue
            try:
                await loop.connect_accepted_socket(
                    lambda: HttpConnection(self.config, self.server_state), opened
                )
            except OSError:  # it is gone already
                opened.close()

    async def _pause(self, error: OSError) -> None:
        """Wait after a failed accept, most often because no descriptors are left. It is logged
        once until it is over."""
        if not self._refusal:
            self._refusal = error.strerror or type(error).__name__
            log.error("the API takes no connections for now", error=self._refusal)
        self._make_room(self._connections())
        await asyncio.sleep(_PAUSE)

    def _connections(self) -> list[HttpConnection]:
        return [
            one
            for one in self.server_state.connections
            if isinstance(one, HttpConnection) and one.open
        ]

    def _has_room(self) -> bool:
        there = self._connections()
        return len(there) < self._most or self._make_room(there)

    @staticmethod
    def _make_room(there: list[HttpConnection]) -> bool:
        """Close the connection whose client has been waited for longest. Return False if all of
        them have sent a request."""
        with suppress(ValueError):  # nobody waits
            min((one for one in there if one.waits), key=lambda one: one.since).transport.abort()
            return True
        return False
