"""A message to be sent, as canonical lines, in memory or in a file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from reconciler.destinations.transfer.line_ends import canonical_lines, stuff_dots
from reconciler.mail.addresses import Address, addresses
from reconciler.mail.headers import HEAD, fields
from reconciler.model.collector_id import HEADER, collector_id
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.messages import DeliveryId

IN_MEMORY = 1 << 20
"""Octets up to which a message is kept in memory."""
_BLOCK = 1 << 18
"""Octets that are read at once."""
_MBOX = (b"From ", b">From ")
"""Beginnings of a mailbox file's first line."""


class OutgoingSpool:
    """A message's content: written once, and read as often as needed until it is closed."""

    def __init__(self, content: Iterable[bytes]) -> None:
        """Read the content. Raises DestinationUnavailable where there is no room, and whatever
        `content` raises. Then nothing is left of it."""
        # Open as long as the message waits: `close` ends it.
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self.size = 0
        self.eight_bit = False
        try:
            for chunk in canonical_lines(content):
                self._write(chunk)
        except BaseException:
            self.close()
            raise

    def _write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.eight_bit = self.eight_bit or not chunk.isascii()
        try:
            self._file.write(chunk)
        except OSError as error:
            raise DestinationUnavailable(
                f"no room in {tempfile.gettempdir()} for a message of over {self.size} octets: "
                f"{error.strerror}. Make room there, or let TMPDIR name another directory."
            ) from error

    def head(self) -> bytes:
        """Return the beginning of the message, which is long enough for its header."""
        self._file.seek(0)
        return self._file.read(HEAD)

    def sent(self, header: bytes) -> Iterator[bytes]:
        """Return the octets to send, with `header` on top and dots doubled. A mailbox file's `From
        ` line stays the first line: anywhere else it would end the header."""
        self._file.seek(0)
        first = self._file.read(_BLOCK)
        top = first.find(b"\n") + 1 if first.startswith(_MBOX) else 0
        return stuff_dots(
            _blocks(first[:top] + header + first[top:], lambda: self._file.read(_BLOCK))
        )

    def close(self) -> None:
        """Delete the content. May be called again."""
        self._file.close()


def _blocks(first: bytes, read: Callable[[], bytes]) -> Iterator[bytes]:
    yield first
    while block := read():
        yield block


class OutgoingMessage(Struct, frozen=True):
    """A spooled message and its recipients (`model.interfaces.Staged`)."""

    message: DeliveryId
    spool: OutgoingSpool
    recipients: tuple[str, ...]

    @property
    def size(self) -> int:
        """Return the size in octets. Every line end counts as two."""
        return self.spool.size + len(self.header)

    @property
    def header(self) -> bytes:
        """Return the line with the X-Collector-Id."""
        return f"{HEADER}: {collector_id(self.message)}\r\n".encode("ascii")

    @property
    def sender(self) -> Address | None:
        """Return the sender in the topmost Return-Path (RFC 5321, section 4.4); None for the null
        sender, for a broken line, and without one."""
        for field in fields(self.spool.head(), {"return-path"}):
            found = list(addresses(field.value))
            return found[0] if len(found) == 1 and isinstance(found[0], Address) else None
        return None
