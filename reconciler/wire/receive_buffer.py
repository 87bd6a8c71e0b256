"""Octets that were received and not read yet, in one block of memory that grows with traffic."""

from __future__ import annotations

import re

SMALLEST = 16 << 10
LARGEST = 256 << 10
_DOT = re.compile(rb"\r\n\.")
_AROUND = 1 << 10
"""Octets in which a pattern looks for a dot at the beginning of a line."""


class ReceiveBuffer:
    """A block of memory into which a socket receives directly; unread octets lie in its middle.

    It begins small, for connections that only wait, and doubles while whole blocks arrive. Offsets
    count from the first unread octet.
    """

    __slots__ = ("_block", "_end", "_start", "_view")

    def __init__(self) -> None:
        self._block = bytearray(SMALLEST)
        self._view = memoryview(self._block)
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def find(self, needle: bytes, offset: int = 0) -> int:
        """Return the offset of `needle` at `offset` or later, -1 where it is not there."""
        found = self._block.find(needle, self._start + offset, self._end)
        return found if found < 0 else found - self._start

    def take(self, count: int) -> bytes:
        """Read up to `count` octets."""
        begin = self._start
        self._start = min(begin + count, self._end)
        return bytes(self._view[begin : self._start])

    def match(self, pattern: re.Pattern[bytes]) -> tuple[tuple[bytes, ...], int] | None:
        """Match at the first unread octet; return the groups and the length. Nothing is read."""
        match = pattern.match(self._block, self._start, self._end)
        return (
            None
            if match is None
            else (tuple(map(bytes, match.groups())), match.end() - self._start)
        )

    def match_length(self, pattern: re.Pattern[bytes]) -> int:
        """Match at the first unread octet; return the length, 0 for none. Nothing is read."""
        match = pattern.match(self._block, self._start, self._end)
        return 0 if match is None else match.end() - self._start

    def find_dot(self, offset: int) -> int:
        """Return the offset of the next CRLF with a dot behind it, -1 where there is none."""
        # One octet is found ten times as fast as three, and base64 has no dots at all. Where there
        # are many dots, a pattern over the next kibibyte is faster than one search for each dot.
        block, begin, end = self._block, self._start + offset, self._end
        while (dot := block.find(b".", begin, end)) >= 0:
            stop = min(dot + _AROUND, end)
            if match := _DOT.search(block, max(begin, dot - 2), stop):
                return match.start() - self._start
            if stop == end:
                break
            begin = stop - 2
        return -1

    def skip(self, count: int) -> None:
        """Drop `count` octets, which must be there."""
        self._start += count

    def peek(self, offset: int, count: int) -> bytes:
        """Return up to `count` octets from `offset`, without reading them."""
        begin = self._start + offset
        return bytes(self._view[begin : min(begin + count, self._end)])

    def space(self) -> memoryview:
        """Return the memory to receive into; call `received` afterwards.

        It is empty only when the buffer is full and has its largest size.
        """
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start and self._end > len(self._block) // 2:
            self._move(self._view)
        if self._end == len(self._block) < LARGEST:
            self._grow()
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """Add the first `count` octets of `space` to the unread ones."""
        self._end += count
        if self._end - self._start == len(self._block) < LARGEST:
            self._grow()

    def _grow(self) -> None:
        block = bytearray(len(self._block) * 2)
        view = memoryview(block)
        self._move(view)
        self._block, self._view = block, view

    def _move(self, target: memoryview) -> None:
        count = self._end - self._start
        target[:count] = self._view[self._start : self._end]
        self._start, self._end = 0, count
