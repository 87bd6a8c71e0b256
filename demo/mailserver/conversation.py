"""One client's connection: lines in, octets out, TLS from the start or from some point on."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import BinaryIO

_SILENCE = 1800.0
"""Seconds: RFC 3501, section 5.4, wants a half hour at least."""
_LONGEST = 65_536


class Closed(Exception):
    """The client left, or said what no client says."""


class Conversation:
    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._context = context
        self.secure = False
        connection.settimeout(_SILENCE)
        self._reader: BinaryIO = connection.makefile("rb")

    def start_tls(self) -> None:
        self._reader.close()  # what came in the clear before the handshake is not believed
        self._connection = self._context.wrap_socket(self._connection, server_side=True)
        self._reader = self._connection.makefile("rb")
        self.secure = True

    def line(self) -> bytes:
        """The next line without its end. Raises Closed."""
        line = self._reader.readline(_LONGEST)
        if not line.endswith(b"\n"):
            raise Closed
        return line.rstrip(b"\r\n")

    def octets(self, count: int) -> bytes:
        octets = self._reader.read(count)
        if len(octets) < count:
            raise Closed
        return octets

    def send(self, octets: bytes) -> None:
        self._connection.sendall(octets)

    def end(self) -> None:
        """From another thread: whoever waits for this client waits no longer."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._reader.close()
        self._connection.close()
