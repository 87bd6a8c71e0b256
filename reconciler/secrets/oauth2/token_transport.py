"""httpcore over connections of `wire`: one deadline for everything, certificates always
verified."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from reconciler.model.domains import reaches_this_machine
from reconciler.model.errors import SourceUnsuitable
from reconciler.model.manifest_policy import Role
from reconciler.secrets.oauth2.token_answers import LARGEST
from reconciler.secrets.oauth2.token_urls import NEIGHBOUR
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint

# `wire` decides by itself about time-outs, TLS contexts and socket options. So the arguments of
# httpcore for these are not used.
# ruff: noqa: ARG002

_LIMITS = Limits(connect=20.0, silence=30.0)
_RECEIVED = 2 * LARGEST
"""Octets that the server may send in all: besides the body there are headers, interim responses,
and the sizes of chunks."""


class WireBackend(httpcore.NetworkBackend):
    """Opens connections of `wire` that all end at one deadline."""

    def __init__(self, ca_file: str | None, deadline: float, *, local: bool, proxied: bool) -> None:
        """`deadline` is a time of the monotonic clock. `local`: the server may be on this machine.
        `proxied`: connections lead to a proxy."""
        self._ca_file = ca_file
        self._deadline = deadline
        self._local = local or proxied
        self._role: Role = "proxies" if proxied else "tokens"
        self._opened: list[Connection] = []

    def close(self) -> None:
        """Close all connections. httpcore leaves one open that fails while it is being opened."""
        for connection in self._opened:
            connection.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        connection = Connection(
            Endpoint(host, port, "none", self._ca_file, role=self._role), _LIMITS, self._deadline
        )
        self._opened.append(connection)
        connection.open()
        if not self._local and reaches_this_machine(connection.socket.getpeername()[0]):
            raise SourceUnsuitable(f"{host} {NEIGHBOUR}")
        return _Stream(connection, self._deadline)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("a token endpoint is no unix socket")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    """A connection of `wire`, as httpcore reads and writes it."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._received > _RECEIVED:
            raise httpcore.ReadError("its answer is too long")
        self._arm()
        try:
            data = self._connection.socket.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("it takes too long") from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""  # its length or its JSON tells whether the answer is whole
        except OSError as error:
            raise httpcore.ReadError(error.strerror or type(error).__name__) from None
        self._received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._arm()
        try:
            self._connection.socket.sendall(buffer)
        except TimeoutError:
            raise httpcore.WriteTimeout("it takes too long") from None
        except OSError as error:
            raise httpcore.WriteError(error.strerror or type(error).__name__) from None

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Begin TLS with the context of `wire`. Behind a proxy the certificate is the server's, not
        the proxy's."""
        endpoint = self._connection.endpoint
        self._connection.endpoint = Endpoint(
            server_hostname or endpoint.host,
            endpoint.port,
            "implicit",
            endpoint.ca_file,
            role="tokens",
        )
        self._connection.start_tls()
        return self

    def get_extra_info(self, info: str) -> Any:
        return None

    def _arm(self) -> None:
        """Set the time-out of the next call so that it ends by the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it takes too long")
        self._connection.socket.settimeout(min(left, _LIMITS.silence))
