"""A client's connection: lines in, octets out, with TLS from the start or after a command."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import BinaryIO

_SILENCE = 1800.0
"""The time-out in seconds. RFC 3501, section 5.4, requires at least half an hour."""
_LONGEST = 65_536


class Closed(Exception):
    """The client closed the connection or sent an endless line."""


class Conversation:
    """The connection of one client."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._context = context
        self.secure = False
        connection.settimeout(_SILENCE)
        self._reader: BinaryIO = connection.makefile("rb")

    def start_tls(self) -> None:
        """Begin TLS."""
        self._reader.close()  # discard unencrypted input from before the handshake
        self._connection = self._context.wrap_socket(self._connection, server_side=True)
        self._reader = self._connection.makefile("rb")
        self.secure = True

    def line(self) -> bytes:
        """Return the next line without its end. Raises Closed."""
        line = self._reader.readline(_LONGEST)
        if not line.endswith(b"\n"):
            raise Closed
        return line.rstrip(b"\r\n")

    def octets(self, count: int) -> bytes:
        """Return exactly this number of octets. Raises Closed."""
        octets = self._reader.read(count)
        if len(octets) < count:
            raise Closed
        return octets

    def send(self, octets: bytes) -> None:
        self._connection.sendall(octets)

    def end(self) -> None:
        """Wake up the thread that waits for this client. Called from another thread."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._reader.close()
        self._connection.close()
