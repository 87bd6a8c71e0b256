"""The body of a multi-line reply (RFC 1939, section 3): read from the connection's buffer,
dot-stuffing undone.

Only CRLF.CRLF ends it (hazard P7), and lines may be of any length (hazard P5).
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.errors import ProtocolViolation
from reconciler.wire.connection import Connection

_END = b"\r\n.\r\n"
_PIECE = 64 << 10
_STATUS = (b"+OK", b"-ER")


class Body:
    """Iterate to its end once. `octets` counts what was given out, `stuffing` the dots that were
    taken off."""

    __slots__ = ("_connection", "_others", "_pieces", "_stuffed", "complete", "octets", "stuffing")

    def __init__(self, connection: Connection, *, others: bool = False) -> None:
        """`others`: more replies are due, so that what begins like one may be the next of them, and
        this one has no body: nothing that follows could be told whose it is."""
        self._connection = connection
        self._others = others
        self._stuffed = False
        self._pieces = self._read()
        self.octets = 0
        self.stuffing = 0
        self.complete = False

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def drain(self) -> None:
        """Read on to the end, so that the next reply can be read."""
        for _ in self._pieces:
            pass

    def _read(self) -> Iterator[bytes]:
        if not self._begin():
            yield from self._lines()
        self.complete = True

    def _begin(self) -> bool:
        """Look at the first line, which no CRLF of the body precedes; whether it is the end
        already."""
        connection = self._connection
        while connection.buffered() < len(b".\r\n"):
            connection.fill(bulk=True)
        begins = connection.peek(0, 3)
        if begins == b".\r\n":
            connection.take(3)
            return True
        if self._others and begins in _STATUS:
            raise ProtocolViolation(
                f"{connection.endpoint}: a reply follows where a message was to begin: the server "
                "says +OK and does not send it"
            )
        if connection.peek(0, 2) == b"..":
            connection.take(1)
            self.stuffing = 1
        return False

    def _lines(self) -> Iterator[bytes]:
        connection, seen = self._connection, 0
        while True:
            dot = connection.find_dot(
                seen
            )  # the end, or stuffed, or neither where a server does not stuff
            after = connection.peek(dot + 3, 2) if dot >= 0 else b""
            if after == b"\r\n":
                break
            if after not in (b"", b"\r"):
                self._stuffed = self._stuffed or after.startswith(b".")
                seen = dot + 3
                continue
            if connection.buffered() >= _PIECE:
                yield self._unstuff(connection.take(self._sure()))
            seen = max(0, connection.buffered() - len(_END) + 1)
            connection.fill(bulk=True)
        piece = self._unstuff(connection.take(dot + 2))
        connection.take(3)
        yield piece

    def _sure(self) -> int:
        """How much of the buffer can be given out: not what the end, or a stuffed dot, may have
        begun in."""
        sure = self._connection.buffered() - len(_END) + 1
        last = self._connection.peek(sure - 3, 3)
        for begun in (b"\r\n.", b"\r\n", b"\r"):
            if last.endswith(begun):
                return sure - len(begun)
        return sure

    def _unstuff(self, piece: bytes) -> bytes:
        """Only doubled dots lose one: servers that do not stuff keep theirs."""
        if self._stuffed:
            stuffed = len(piece)
            piece = piece.replace(b"\r\n..", b"\r\n.")
            self.stuffing += stuffed - len(piece)
        self.octets += len(piece)
        return piece
