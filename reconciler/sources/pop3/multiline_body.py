"""Read the body of a multi-line reply (RFC 1939, section 3) and undo its dot-stuffing.

Only CRLF.CRLF ends it (hazard P7), and lines may have any length (hazard P5).
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.errors import ProtocolViolation
from reconciler.wire.connection import Connection

_END = b"\r\n.\r\n"
_PIECE = 64 << 10
_STATUS = (b"+OK", b"-ER")


class MultilineBody:
    """The body of one reply, to be iterated to its end once, in pieces of any length.

    `octets` counts what was yielded, `stuffing` the dots that were removed. `complete` is true
    once the end was read.
    """

    __slots__ = ("_connection", "_others", "_pieces", "_stuffed", "complete", "octets", "stuffing")

    def __init__(self, connection: Connection, *, others: bool = False) -> None:
        """`others`: more replies are due after this one.

        Then a body that begins like a reply is refused: it may be the next reply, and no later one
        could be assigned to its command.
        """
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
        """Read to the end, so that the next reply can be read."""
        for _ in self._pieces:
            pass

    def _read(self) -> Iterator[bytes]:
        if not self._begin():
            yield from self._lines()
        self.complete = True

    def _begin(self) -> bool:
        """Read the dots of the first line, before which the body has no CRLF.

        Returns whether it is the end already.
        """
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
            # The end, a stuffed dot, or neither where a server does not stuff.
            dot = connection.find_dot(seen)
            after = connection.peek(dot + 3, 2) if dot >= 0 else b""
            if after == b"\r\n":
                break
            if after not in (b"", b"\r"):
                self._stuffed = self._stuffed or after.startswith(b".")
                seen = dot + 3
                continue
            if connection.buffered() >= _PIECE:
                yield self._unstuff(connection.take(self._certain_octets()))
            seen = max(0, connection.buffered() - len(_END) + 1)
            connection.fill(bulk=True)
        piece = self._unstuff(connection.take(dot + 2))
        connection.take(3)
        yield piece

    def _certain_octets(self) -> int:
        """Return how many buffered octets can be yielded: none in which the end, or a stuffed
        dot, may begin."""
        sure = self._connection.buffered() - len(_END) + 1
        last = self._connection.peek(sure - 3, 3)
        for begun in (b"\r\n.", b"\r\n", b"\r"):
            if last.endswith(begun):
                return sure - len(begun)
        return sure

    def _unstuff(self, piece: bytes) -> bytes:
        """Remove one of doubled dots. Single dots stay, as not all servers stuff."""
        if self._stuffed:
            stuffed = len(piece)
            piece = piece.replace(b"\r\n..", b"\r\n.")
            self.stuffing += stuffed - len(piece)
        self.octets += len(piece)
        return piece
