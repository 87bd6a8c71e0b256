"""Clients of the API that are slow, many, or not to be trusted: they are closed, and the others
answered meanwhile."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from reconciler.model.settings import Listen, Settings
from reconciler.web import http_connections, http_server
from tests.captured_logs import capture_logs
from tests.servers.loopback import free_ports
from tests.short_paths import short_path
from tests.web.daemon import Daemon, daemon, run

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON = 20.0


@asynccontextmanager
async def listening(root: Path, settings: Settings) -> AsyncIterator[tuple[Daemon, int]]:
    port = free_ports(1)[0]
    async with daemon(root, replace(settings, listen=Listen("127.0.0.1", port))) as found:
        await found.controller.turn()
        yield found, port


def patient() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=SOON)


async def said(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(SOON):
            return await reader.read()
    finally:
        writer.close()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed."""
    async with asyncio.timeout(SOON):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


def test_E7_on_tcp_only_the_probes_and_metrics_are_served(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        async with listening(root, settings) as (found, port), patient() as client:
            here = f"http://127.0.0.1:{port}"
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await client.get(here + path)).status_code == 200
            for method, path in (
                ("POST", "/api/v1/collectors/sales/clear"),
                ("POST", "/api/v1/collectors/sales/collect"),
                ("POST", "/-/reload"),
                ("GET", "/api/v1/collectors"),
                ("GET", "/api/v1/events"),
                ("GET", "/"),
                ("GET", "/api/v1/info"),
                ("POST", "/api/v1/removed/sales"),
                ("GET", "/nowhere"),
                ("OPTIONS", "/api/v1/collectors"),
                ("GET", "/metrics/"),
                ("POST", "/api/v1/collectors/x/check"),
            ):
                answer = await client.request(method, here + path)
                assert answer.status_code == 401, path
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["reason"] == "Unauthorized"
            for target in (
                b"//api/v1/info",
                b"/healthz/../api/v1/info",
                b"/%61pi/v1/info",
                b"/api/v1/info#/healthz",
                b"/healthz%2f..%2fapi/v1/info",
                b"/healthz;/api/v1/info",
            ):
                answered = await said(
                    port, b"GET " + target + b" HTTP/1.0\r\nHost: localhost\r\n\r\n"
                )
                assert answered.split()[1] in {b"400", b"401"}, answered
            assert await said(
                port, b"POST http://localhost/-/reload HTTP/1.0\r\nHost: localhost\r\n\r\n"
            )
            assert found.registry.rows["sales"].declared.epoch == 1
            assert (
                await found.client.get("/api/v1/info")
            ).status_code == 200  # the socket serves all

    run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["nothing", "headers", "a word", "body", "chunks", "kept alive"],
)
@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_N8_a_slow_request_is_closed_however_it_dribbles(
    root: Path, settings: Settings, sent: bytes, over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "TIMEOUT", 0.5)

    async def scenario() -> None:
        async with listening(root, settings) as (found, port):
            if over == "tcp":
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            else:
                with short_path(found.settings.control_socket) as path:
                    reader, writer = await asyncio.open_unix_connection(path)
            writer.write(sent)

            async def dribble() -> None:
                while sent and not sent.endswith(b"\r\n\r\n"):
                    writer.write(b"x")
                    await asyncio.sleep(0.05)

            dribbling = asyncio.create_task(dribble())
            await closed(reader)
            dribbling.cancel()
            writer.close()

    run(scenario())


def test_N8_a_client_that_does_not_take_its_answer_is_closed(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "TIMEOUT", 0.5)

    async def scenario() -> None:
        async with daemon(root, settings) as found, AsyncExitStack() as stack:
            await found.controller.turn()
            opened = socket.socket(socket.AF_UNIX)
            stack.callback(opened.close)
            opened.setblocking(False)
            with short_path(found.settings.control_socket) as path:
                opened.connect(path)
            request = b"GET /api/v1/collectors HTTP/1.1\r\nHost: x\r\n\r\n"
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(SOON):
                with suppress(BrokenPipeError, ConnectionResetError):
                    while True:  # asks again and again, and reads nothing
                        await loop.sock_sendall(opened, request * 100)
                        await asyncio.sleep(0.01)
            monkeypatch.setattr(http_connections, "TIMEOUT", SOON)
            assert (await found.client.get("/healthz")).status_code == 200

    run(scenario())


def test_N8_half_open_requests_take_nobody_elses_place(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_CLIENTS", 64)
    monkeypatch.setattr(http_connections, "TIMEOUT", 10 * SOON)  # no place becomes free by itself

    async def scenario() -> None:
        async with (
            listening(root, settings) as (_, port),
            patient() as client,
            AsyncExitStack() as stack,
        ):
            readers = []
            for _ in range(200):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                writer.write(b"GET /healthz HTTP/1.1\r\n")
                readers.append(reader)
            assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            for reader in readers[: 200 - http_server._CLIENTS]:
                assert await closed(reader) == b""  # the oldest made room
            assert not readers[-1].at_eof()

    run(scenario())


@pytest.mark.parametrize("second", ["Content-Length: 4", "Content-Length : 4", "Content-Length: 0"])
def test_a_request_whose_end_is_told_twice_is_refused_and_nothing_behind_it_is_taken(
    root: Path, settings: Settings, second: str
) -> None:
    async def scenario() -> None:
        async with listening(root, settings) as (_, port):
            answer = await said(
                port,
                f"POST /healthz HTTP/1.1\r\nHost: localhost\r\n{second}\r\nTransfer-Encoding: "
                "chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
            )
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1 ") == 1
            assert b"mailcollector_" not in answer

    run(scenario())


def test_a_hundred_that_come_at_once_wait_for_their_turn(root: Path, settings: Settings) -> None:
    """`collect --wait` has a connection for each session; the socket refuses at once where there is
    no room."""

    async def scenario() -> None:
        async with listening(root, settings) as (found, _):
            clients = [socket.socket(socket.AF_UNIX) for _ in range(100)]
            with short_path(found.settings.control_socket) as path:
                for client in clients:  # before the event loop may accept one
                    client.setblocking(False)
                    client.connect(path)
            reader, writer = await asyncio.open_connection(sock=clients[-1])
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(SOON):
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            for client in clients[:-1]:
                client.close()
            writer.close()

    run(scenario())


def test_streams_that_were_asked_for_are_kept_and_beyond_the_most_nobody_gets_in(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_CLIENTS", 0)
    monkeypatch.setattr(http_server, "_FOR_PROBES", 0)

    async def scenario() -> None:
        async with (
            daemon(root, replace(settings, max_sessions=1)) as found,
            AsyncExitStack() as stack,
        ):
            with short_path(found.settings.control_socket) as path:
                ask: Callable[[], Any] = lambda: asyncio.open_unix_connection(path)  # noqa: E731
                streams: list[Streams] = []
                for _ in range(4):
                    reader, writer = await ask()
                    stack.callback(writer.close)
                    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
                    await reader.readuntil(b"event: synced")
                    streams.append((reader, writer))
                reader, writer = await ask()
                stack.callback(writer.close)
                assert await closed(reader) == b""
                streams[0][1].close()
                async with asyncio.timeout(SOON):
                    while True:
                        reader, writer = await ask()
                        stack.callback(writer.close)
                        writer.write(b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n")
                        if b"200 OK" in await closed(reader):
                            break
            assert not any(reader.at_eof() for reader, _ in streams[1:])

    run(scenario())


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED]
)
def test_M9_without_descriptors_it_tells_once_and_recovers(
    root: Path, settings: Settings, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "_PAUSE", 0.01)

    async def scenario() -> None:
        async with daemon(root, settings) as found:
            loop, refused = asyncio.get_running_loop(), 0
            accept = loop.sock_accept

            async def refusing(listener: socket.socket) -> Any:
                nonlocal refused
                if refused < 50:
                    refused += 1
                    raise OSError(code, "none left")
                return await accept(listener)

            assert (await found.client.get("/healthz")).status_code == 200
            monkeypatch.setattr(loop, "sock_accept", refusing)
            with capture_logs() as logs, short_path(found.settings.control_socket) as path:
                for _ in range(2):
                    async with httpx.AsyncClient(
                        transport=httpx.AsyncHTTPTransport(uds=path)
                    ) as client:
                        assert (
                            await client.get("http://daemon/healthz", timeout=SOON)
                        ).status_code == 200
            assert refused == 50
            told = [line["event"] for line in logs if "connections" in line["event"]]
            assert told == [
                "the API takes no connections for now",
                "the API takes connections again",
            ]

    run(scenario())


def test_D9_a_server_that_cannot_start_is_noticed(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(http_connections.HttpServer, "startup", failing)

    async def scenario() -> None:
        with pytest.raises(http_server.ListenRefused, match="could not be started"):
            async with daemon(root, settings):
                pass

    run(scenario())
