"""Connections to scripted servers, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint, Tls
from tests.servers.scripted import Authority, Scripted

Connect = Callable[..., Connection]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(server, tls=…)`: an open connection."""
    opened: list[Connection] = []

    def connect_to(
        server: Scripted,
        tls: Tls = "none",
        *,
        host: str = "",
        ca_file: str | None = None,
        fingerprint: str | None = None,
        limits: Limits | None = None,
        deadline: float | None = None,
    ) -> Connection:
        endpoint = Endpoint(host or server.host, server.port, tls, ca_file, fingerprint)
        connection = Connection(endpoint, limits or Limits(), deadline)
        opened.append(connection)
        connection.open()
        return connection

    yield connect_to
    for connection in opened:
        connection.close()
