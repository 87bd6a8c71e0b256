"""The lines of LIST and UIDL, kept in columns: a few octets for each message.

There may be two million messages, and a malicious server may send as many lines as it likes.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from reconciler.model.errors import ProtocolViolation
from reconciler.sources.listing_columns import MOST, Texts, ascending, in_order, too_many

_LONGEST_UIDL = 1000
"""Octets; RFC 1939 allows 70, servers send more."""
_UNPRINTABLE = re.compile(rb"[^!-\[\]-~]")
_MOST_DIGITS = 10
_LARGE = (1 << 32) - 2
"""The number that stands for this or any larger size."""
_UNKNOWN = (1 << 32) - 1
"""The number that stands for a size that is not known."""
_LINES = re.compile(rb"(?:\d{1,9} [!-\[\]-~]{1,1000}\r?\n){1,500}")
"""The lines that nearly every server sends; many are read at a time."""
_PAIR = re.compile(rb"(\d{1,9}) ([^\r\n]{1,1000})")


class Column:
    """The values of message numbers, from the lines of LIST or UIDL.

    Numbers that come twice, and lines without a number, are dropped (hazard P8). The index of a
    value is its place in the order of the lines.
    """

    def __init__(self, take_share: Callable[[int], object] = int) -> None:
        """`take_share` is called with the number of messages that are about to be kept."""
        self.numbers: array[int] | range = range(1, 1)
        """The numbers in the order of the lines: nearly always 1, 2, 3 and so on."""
        self._sorted = True
        self._junk = 0
        self._take_share = take_share

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, block: bytes) -> None:
        """Read a block of whole lines."""
        begin = 0
        while begin < len(block):
            if matched := _LINES.match(block, begin):
                pairs = _PAIR.findall(block, begin, matched.end())
                self._add([int(number) for number, _ in pairs], [rest for _, rest in pairs])
                begin = matched.end()
            else:
                end = block.find(b"\n", begin) + 1 or len(block)
                self._take_odd(block[begin:end])
                begin = end

    def _take_odd(self, line: bytes) -> None:
        """Read one line that is written in another way, or is no line of a list."""
        first, *others = line.split(maxsplit=1) or [b""]
        digits, rest = first.rstrip(b":"), b"".join(others).strip()
        if digits.isdigit() and len(digits) <= _MOST_DIGITS and int(digits) <= _LARGE:
            self._add([int(digits)], [rest])
            return
        self._junk += 1
        if self._junk > MOST:
            raise ProtocolViolation(
                "the server lists more that is no message than messages there may be"
            )

    def _add(self, numbers: list[int], rests: list[bytes]) -> None:
        if len(self) + len(numbers) > MOST:
            raise too_many("the maildrop")
        self._take_share(len(numbers))
        following = len(self) + 1
        if isinstance(self.numbers, range) and numbers == list(
            range(following, following + len(numbers))
        ):
            self.numbers = range(1, following + len(numbers))
        else:
            last = self.numbers[-1] if self.numbers else -1
            if isinstance(self.numbers, range):
                self.numbers = array("I", self.numbers)
            self._sorted = self._sorted and last < numbers[0] and ascending(numbers)
            self.numbers.extend(numbers)
        self._keep(rests)

    def ordered(self) -> Iterator[tuple[int, int]]:
        """Yield (number, place) of each number that came once, ascending."""
        if self._sorted:
            yield from zip(self.numbers, range(len(self.numbers)), strict=True)
            return
        before, place, count = -1, 0, 0
        for number, following in in_order(self.numbers):
            if number != before:
                if count == 1:
                    yield before, place
                before, count = number, 0
            place, count = following, count + 1
        if count == 1:
            yield before, place

    def _keep(self, rests: list[bytes]) -> None:
        """Keep what follows the numbers on their lines."""
        raise NotImplementedError


class SizeColumn(Column):
    """The sizes in octets, from LIST."""

    def __init__(self, take_share: Callable[[int], object] = int) -> None:
        super().__init__(take_share)
        self._sizes = array("I")

    def _add(self, numbers: list[int], rests: list[bytes]) -> None:
        if not len(self) and rests[0][:1].isalpha():  # "3 messages:" above them
            numbers, rests = numbers[1:], rests[1:]
        if numbers:
            super()._add(numbers, rests)

    def _keep(self, rests: list[bytes]) -> None:
        if all(map(bytes.isdigit, rests)) and max(map(len, rests)) < _MOST_DIGITS:
            self._sizes.extend(map(int, rests))
        else:
            self._sizes.extend(map(_size, rests))

    def number_only(self, numbers: Iterable[int]) -> None:
        """Take these numbers, with unknown sizes."""
        rest = iter(numbers)
        while listed := list(islice(rest, 1000)):
            self._add(listed, [b""] * len(listed))

    def size(self, place: int) -> int | None:
        """Return the size at a place, None where it is not known."""
        found = self._sizes[place]
        return None if found == _UNKNOWN else found


def _size(rest: bytes) -> int:
    digits = next(iter(rest.split()), b"").strip(b"()")
    return (
        min(int(digits), _LARGE) if digits.isdigit() and len(digits) <= _MOST_DIGITS else _UNKNOWN
    )


class UidlColumn(Column):
    """The keys (`key_of`), from UIDL; "" where a line has none."""

    def __init__(self, take_share: Callable[[int], object] = int) -> None:
        super().__init__(take_share)
        self._keys = Texts()
        self.incomplete = False
        """Whether a line has no UIDL."""

    def _keep(self, rests: list[bytes]) -> None:
        self.incomplete = self.incomplete or not all(rests)
        self._keys.extend(list(map(key_of, rests)))

    def key(self, place: int) -> str:
        return self._keys[place]

    def keys(self, places: Sequence[int]) -> Iterator[str]:
        """Yield the keys at these places."""
        # A range stands for all of them, which are read faster in their order.
        return iter(self._keys) if isinstance(places, range) else map(self.key, places)


def key_of(uidl: bytes) -> bytes:
    r"""Return a UIDL as text.

    What is not printable ASCII, and the backslash, is written as \xNN. A very long one becomes its
    digest.
    """
    if len(uidl) > _LONGEST_UIDL:
        return b"sha256:" + hashlib.sha256(uidl).hexdigest().encode()
    return _UNPRINTABLE.sub(lambda odd: rb"\x%02x" % odd[0][0], uidl)
