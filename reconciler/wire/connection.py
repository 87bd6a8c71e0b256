"""A connection to a remote server: its replies by lines, by known forms, and as bulk data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.model.errors import ProtocolViolation
from reconciler.wire.bounded_socket import BoundedSocket
from reconciler.wire.receive_buffer import LARGEST
from reconciler.wire.transcript import LISTED

_PIECE = 64 << 10
_SMALLEST_PIECE = 8 << 10
"""Octets of an unfinished line from which they are taken out of the buffer."""
_BEGINNING = 100
"""Octets of a line that decide whether it may be long."""


class Connection(BoundedSocket):
    """A `BoundedSocket` with the ways in which protocols read from it."""

    def read_line(
        self, limit: int | None = None, *, longer: re.Pattern[bytes] | None = None, most: int = 0
    ) -> bytes:
        """Return one line with its CRLF.

        It has at most `limit` octets (default `limits.line`), or `most` where it begins with what
        `longer` matches. A lone CR is a `ProtocolViolation` (hazard I20). A lone LF ends a line
        only where nobody on the way could have put it there (`_trusted`).
        """
        line = self._line(self.limits.line if limit is None else limit, longer, most)
        self._count(len(line))
        if not line.endswith(b"\r\n") and self._trusted:
            line = line[:-1] + b"\r\n"
        if not line.endswith(b"\r\n") or line.find(b"\r", 0, -2) >= 0:
            raise ProtocolViolation(f"{self.endpoint}: a line does not end with CRLF")
        if self._transcript is not None:
            self._transcript.received(line)
        return line

    def read_match(self, pattern: re.Pattern[bytes]) -> tuple[bytes, ...] | None:
        """Read what `pattern` matches at the beginning of the buffer; return its groups.

        Returns None and reads nothing where it does not match.
        """
        matched = self._buffer.match(pattern)
        if matched is None:
            return None
        groups, length = matched
        self._count(length)
        self._buffer.skip(length)
        self._receive_bulk(length)
        return groups

    def read_run(self, pattern: re.Pattern[bytes]) -> bytes:
        """Read what `pattern` matches at the beginning of the buffer, b"" where it does not."""
        length = self._buffer.match_length(pattern)
        if not length:
            return b""
        self._count(length)
        lines = self._buffer.take(length)
        self.keep_lines(lines, LISTED)
        return lines

    def read_framed(
        self, opening: re.Pattern[bytes], closing: bytes
    ) -> tuple[tuple[bytes, ...], bytes] | None:
        """Read a reply of a known form: `opening`, bulk data, `closing`.

        The last group of `opening` is the count of the data's octets. Returns the groups and the
        data. Returns None and reads nothing if the reply has another form, does not fit into the
        buffer, or its opening was not received yet.
        """
        opened = self._buffer.match(opening)
        if opened is None:
            return None
        groups, begin = opened
        end = begin + int(groups[-1])
        whole = end + len(closing)
        if whole > LARGEST:
            return None
        while len(self._buffer) < whole:
            self.fill(bulk=True)
        if self._buffer.peek(end, len(closing)) != closing:
            return None
        self._count(begin + len(closing))
        if self._transcript is not None:
            self._transcript.received_around(self._buffer.peek(0, begin), end - begin, closing)
        self._buffer.skip(begin)
        content = self._buffer.take(end - begin)
        self._buffer.skip(len(closing))
        return groups, content

    def read(self, count: int) -> bytes:
        """Return exactly `count` octets; for small amounts."""
        self._count(count)
        return b"".join(self._exactly(count, bulk=False))

    def read_chunks(self, count: int) -> Iterator[bytes]:
        """Yield exactly `count` octets of bulk data, in pieces that are not small."""
        return self._exactly(count, bulk=True)

    # The buffer, for readers that look before they read

    def buffered(self) -> int:
        """Return the number of octets that were received and not read."""
        return len(self._buffer)

    def find_dot(self, offset: int) -> int:
        """Return where a CRLF and a dot are in the buffer, from `offset` on; -1 for nowhere."""
        return self._buffer.find_dot(offset)

    def peek(self, offset: int, count: int) -> bytes:
        """Return up to `count` buffered octets from `offset` without reading them."""
        return self._buffer.peek(offset, count)

    def take(self, count: int) -> bytes:
        """Read up to `count` buffered octets."""
        taken = self._buffer.take(count)
        self._receive_bulk(len(taken))
        return taken

    def _line(self, limit: int, longer: re.Pattern[bytes] | None, most: int) -> bytes:
        pieces: list[bytes] = []
        size = seen = 0
        while (found := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if size + seen > limit:
                limit = self._longer_limit(
                    limit, longer, most, pieces[0] if pieces else self._buffer.peek(0, _BEGINNING)
                )
                continue
            if seen >= _PIECE:
                pieces.append(self._buffer.take(seen))
                size, seen = size + seen, 0
            self.fill(bulk=False)
        while size + found + 1 > limit:
            limit = self._longer_limit(
                limit, longer, most, pieces[0] if pieces else self._buffer.peek(0, _BEGINNING)
            )
        line = self._buffer.take(found + 1)
        return b"".join([*pieces, line]) if pieces else line

    def _longer_limit(
        self, limit: int, longer: re.Pattern[bytes] | None, most: int, beginning: bytes
    ) -> int:
        """Return how long a line may be that exceeds `limit`, by its beginning."""
        if longer is not None and most > limit and longer.match(beginning[:_BEGINNING]):
            return most
        raise ProtocolViolation(f"{self.endpoint}: a line is longer than {limit} octets")

    def _exactly(self, count: int, *, bulk: bool) -> Iterator[bytes]:
        # In pieces of some size, however small the segments are in which they come: readers
        # look at each piece, and keep many.
        while count:
            while len(self._buffer) < min(count, _SMALLEST_PIECE):
                self.fill(bulk=bulk)
            chunk = self._buffer.take(count)
            count -= len(chunk)
            self._receive_bulk(len(chunk))
            yield chunk

    # What is kept of the dialogue

    def keep_lines(self, lines: bytes, most: int, *, taken: bool = False) -> None:
        """Keep the first `most` lines of a listing. `taken`: they are what was counted as bulk
        data since the last line."""
        if self._transcript is not None:
            if taken:
                self._transcript.octets = 0
            self._transcript.received_lines(lines, most)

    def _receive_bulk(self, octets: int) -> None:
        if self._transcript is not None:
            self._transcript.octets += octets
