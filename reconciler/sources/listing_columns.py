"""Columns of a listing: a few octets for each message, in any order of the server."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from operator import lt
from typing import Generic, TypeVar

from reconciler.model.errors import DestinationUnavailable, ProtocolViolation

T = TypeVar("T")
MOST = 2_500_000
"""Messages of the largest folder or maildrop: all of them are in memory while it is listed."""
_RUN = 1 << 16
"""Numbers that are sorted at once."""
_SPOOLED = 4 << 20
"""Octets of texts that are kept in memory; with more, all go to a temporary file."""
_TEXTS = 256
"""Texts that are read at once."""


def ascending(numbers: Sequence[int]) -> bool:
    """Return whether each number is greater than the one before it."""
    return all(
        map(lt, numbers, memoryview(numbers)[1:] if isinstance(numbers, array) else numbers[1:])
    )


def in_order(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (number, place) ascending; equal numbers in the order of their places.

    Numbers are below 2**32. Each takes eight octets of memory meanwhile.
    """
    tagged = array("Q", (number << 32 | place for place, number in enumerate(numbers)))
    runs = []
    for start in range(0, len(tagged), _RUN):
        run = array("Q", sorted(tagged[start : start + _RUN]))
        tagged[start : start + _RUN] = run
        runs.append(range(start, start + len(run)))
    for number in merge(*(map(tagged.__getitem__, run) for run in runs)):
        yield number >> 32, number & 0xFFFFFFFF


class Peekable(Generic[T]):
    """An iterator whose next value can be looked at; None at the end."""

    def __init__(self, values: Iterator[T]) -> None:
        self._values = values
        self.next = next(values, None)

    def take(self) -> T:
        """Return the next value, which must be there, and move on."""
        found = self.next
        assert found is not None  # noqa: S101  # the caller has looked
        self.next = next(self._values, None)
        return found


def too_many(what: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"{what} has more than {MOST:,} messages, which is more than is collected from: move or "
        "delete some of them with a mail program first"
    )


class Texts:
    """A list of short texts, in a temporary file where there are many.

    Reading in order is cheap: a block of `_TEXTS` is kept in memory.
    """

    def __init__(self) -> None:
        # closed when it is forgotten
        self._file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115
        self._lengths = array("H")
        self._begins = array("Q", [0])
        """The offset of each block of `_TEXTS` in the file."""
        self._size = 0
        self._block: tuple[int, list[str]] = (-1, [])

    def __len__(self) -> int:
        return len(self._lengths)

    def __del__(self) -> None:
        self._file.close()

    def extend(self, texts: Sequence[bytes]) -> None:
        """Append ASCII texts, each of less than 64 KiB.

        Raises DestinationUnavailable where there is no room for them.
        """
        self._block = (-1, [])
        lengths = array("H", map(len, texts))
        try:
            self._file.seek(0, 2)
            self._file.write(b"".join(texts))
        except OSError as error:
            raise _no_room(error) from error
        first = _TEXTS - len(self._lengths) % _TEXTS
        done = 0
        for end in range(first, len(lengths) + 1, _TEXTS):
            self._size += sum(lengths[done:end])
            self._begins.append(self._size)
            done = end
        self._size += sum(lengths[done:])
        self._lengths += lengths

    def __getitem__(self, place: int) -> str:
        number, offset = divmod(place, _TEXTS)
        if self._block[0] != number:
            self._block = number, self._read(number)
        return self._block[1][offset]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(self._read, range((len(self) + _TEXTS - 1) // _TEXTS)))

    def _read(self, number: int) -> list[str]:
        lengths = self._lengths[number * _TEXTS : (number + 1) * _TEXTS]
        try:
            self._file.seek(self._begins[number])
            block = self._file.read(sum(lengths)).decode("ascii")
        except OSError as error:
            raise _no_room(error) from error
        found, begin = [], 0
        for length in lengths:
            found.append(block[begin : begin + length])
            begin += length
        return found


class RepeatedTexts:
    """The set of texts that may occur more than once: all that do, and a few others.

    It takes 128 bits for each text: two bit maps, addressed by the text's hash.
    """

    def __init__(self, texts: Iterable[str], count: int) -> None:
        bits = 1 << max(13, (64 * count).bit_length() - 1)
        self._mask = bits - 1
        self._twice = twice = bytearray(bits >> 3)
        self.any = False
        """Whether the set has a text."""
        once, mask = bytearray(bits >> 3), self._mask
        for value in map(hash, texts):
            place, bit = (value & mask) >> 3, 1 << (value & 7)
            if once[place] & bit:
                twice[place] |= bit
                self.any = True
            else:
                once[place] |= bit

    def __contains__(self, text: object) -> bool:
        slot = hash(text) & self._mask
        return bool(self._twice[slot >> 3] & (1 << (slot & 7)))


def _no_room(error: OSError) -> DestinationUnavailable:
    return DestinationUnavailable(
        f"a large listing cannot be kept in {tempfile.gettempdir()}: {error.strerror}; make "
        "room there, or name another directory with TMPDIR"
    )
