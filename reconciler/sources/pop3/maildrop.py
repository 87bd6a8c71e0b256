"""Which messages a maildrop holds: LIST and UIDL brought together.

There may be a million of them, and a server that means harm has as many as it likes. So what is read is kept in columns
of numbers and one block of text, a few octets for each message; Python's objects are made when somebody looks.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import eq
from typing import overload

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Listed

_LONGEST_UIDL = 1000  # octets; RFC 1939 allows 70, servers send more
_ODD = re.compile(rb"[^!-\[\]-~]")
_MOST_DIGITS = 10
_LARGE = (1 << 32) - 2
_UNKNOWN = (1 << 32) - 1
"""A size that was not told; larger ones than `_LARGE` count as that."""
MOST_TWICE = 50_000
"""Messages that share a UIDL with another one; those beyond are left alone."""
_FEW = 20_000
"""So many are kept as they are used; more would take too much memory."""
_PARTS = 16
_MOST = 1_000_000
"""Messages of a maildrop: some sixty octets of memory for each."""
_DISORDERED = 50_000
"""So many may be listed in another order than theirs."""


class Maildrop(Struct, frozen=True):
    """`numbers` are the message numbers of this session by key, in their order."""

    messages: Sequence[Listed]
    numbers: Mapping[str, int]
    keys_stable: bool
    notes: tuple[str, ...] = ()


class Column:
    """What each message number stands with, from the lines of LIST or UIDL. A number that comes twice, or is none,
    stands for nothing (hazard P8)."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self._sorted = True

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, lines: Iterable[bytes]) -> None:
        """Lines without their ends."""
        numbers, last = self.numbers, self.numbers[-1] if self.numbers else 0
        for line in lines:
            digits, _, rest = line.strip().partition(b" ")
            if not digits.isdigit() or len(digits) > _MOST_DIGITS:
                continue
            number = int(digits)
            self._sorted = self._sorted and number > last
            last = number
            numbers.append(number)
            self._keep(rest.strip())
        if len(numbers) > _MOST:
            raise ProtocolViolation(f"the server lists more than {_MOST} messages")
        if not self._sorted and len(numbers) > _DISORDERED:
            raise ProtocolViolation(f"the server lists more than {_DISORDERED} messages, and not in their order")

    def ordered(self) -> Iterator[tuple[int, int]]:
        """Each number that stands for something, ascending, with its place."""
        if self._sorted:
            return zip(self.numbers, range(len(self.numbers)), strict=True)
        counted = Counter(self.numbers)
        return iter(sorted((number, place) for place, number in enumerate(self.numbers) if counted[number] == 1))

    def _keep(self, rest: bytes) -> None:
        raise NotImplementedError


class Sizes(Column):
    """Of LIST: octets."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = array("I")

    def _keep(self, rest: bytes) -> None:
        digits = rest.partition(b" ")[0]
        known = digits.isdigit() and len(digits) <= _MOST_DIGITS
        self._sizes.append(min(int(digits), _LARGE) if known else _UNKNOWN)

    def size(self, place: int) -> int | None:
        found = self._sizes[place]
        return None if found == _UNKNOWN else found


class Uidls(Column):
    """Of UIDL: keys, see `key_of`; "" where a line has none."""

    def __init__(self) -> None:
        super().__init__()
        self._block = bytearray()
        self._ends = array("I")

    def _keep(self, rest: bytes) -> None:
        self._block += key_of(rest).encode("ascii")
        self._ends.append(len(self._block))

    def key(self, place: int) -> str:
        begin = self._ends[place - 1] if place else 0
        return self._block[begin:self._ends[place]].decode("ascii")


def maildrop(listed: Iterable[bytes], identified: Iterable[bytes] | None) -> Maildrop:
    """From the lines of LIST and UIDL; see `brought_together`."""
    sizes, uidls = Sizes(), None if identified is None else Uidls()
    sizes.take(listed)
    if uidls is not None:
        uidls.take(identified or ())
    return brought_together(sizes, uidls)


def brought_together(sizes: Sizes, uidls: Uidls | None) -> Maildrop:
    """None: the server has no UIDL (hazard P1), keys are numbers of this session.

    Only what both agree on is listed (hazard P8). Of messages with the same UIDL the second gets the key "UIDL #2",
    and so on; all of them are ambiguous (hazard P2).
    """
    if uidls is None:
        return _maildrop(_Numbered(sizes), stable=False)
    found = _Identified(sizes, uidls)
    notes = (f"{found.lacking} messages are left alone: the server's LIST and UIDL disagree on them",)
    return _maildrop(found, stable=True, notes=notes if found.lacking else ())


def key_of(uidl: bytes) -> str:
    r"""A UIDL as text: what is not printable ASCII, and the backslash, as \xNN; its digest when it is very long."""
    if len(uidl) > _LONGEST_UIDL:
        return f"sha256:{hashlib.sha256(uidl).hexdigest()}"
    return _ODD.sub(lambda odd: rb"\x%02x" % odd[0][0], uidl).decode("ascii")


class _Messages(Sequence[Listed]):
    """Made when they are looked at. `numbers[n]` is the message number of the n-th."""

    numbers: array[int]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Listed: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Listed]: ...

    def __getitem__(self, index: int | slice) -> Listed | Sequence[Listed]:
        if isinstance(index, slice):
            return [self._made(place) for place in range(*index.indices(len(self)))]
        return self._made(range(len(self))[index])

    def _made(self, place: int) -> Listed:
        raise NotImplementedError


class _Numbered(_Messages):
    """Without UIDL."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._places = array("I")
        self.numbers = array("Q")
        for number, place in sizes.ordered():
            self.numbers.append(number)
            self._places.append(place)

    def _made(self, place: int) -> Listed:
        return Listed(f"#{self.numbers[place]}", self._sizes.size(self._places[place]))


class _Identified(_Messages):
    """With UIDL. `lacking`: how many numbers only one of both lists has, or with a UIDL that too many share."""

    def __init__(self, sizes: Sizes, uidls: Uidls) -> None:
        self._sizes, self._uidls = sizes, uidls
        self._places = array("I")
        self._keys = array("I")
        self.numbers = array("Q")
        either = 0
        for number, place, key in _both(sizes, uidls):
            either += 1
            if place is not None and key is not None and uidls.key(key):
                self.numbers.append(number)
                self._places.append(place)
                self._keys.append(key)
        self._shared: dict[int, int] = self._count_shared()
        self.lacking = either - len(self.numbers)

    def _count_shared(self) -> dict[int, int]:
        """Of each message whose UIDL others bear too, by its place, which one of them it is. Looked for in parts, so
        that there is no set of all UIDLs."""
        hashes = array("q", (hash(self._uidls.key(key)) for key in self._keys))
        repeated: set[int] = set()
        for part in range(_PARTS):
            seen: set[int] = set()
            for value in hashes:
                if value % _PARTS == part:
                    (repeated if value in seen else seen).add(value)
            if len(repeated) > MOST_TWICE:
                break
        if not repeated:
            return {}
        bearers = [place for place, value in enumerate(hashes) if value in repeated][:MOST_TWICE + 1]
        if len(bearers) > MOST_TWICE:
            self._leave(repeated, hashes)
            return {}
        counted = Counter(self._uidls.key(self._keys[place]) for place in bearers)
        shared: dict[int, int] = {}
        seen_so_far: Counter[str] = Counter()
        for place in bearers:
            uidl = self._uidls.key(self._keys[place])
            if counted[uidl] > 1:
                seen_so_far[uidl] += 1
                shared[place] = seen_so_far[uidl]
        return shared

    def _leave(self, repeated: set[int], hashes: array[int]) -> None:
        """Far too many share their UIDLs: none of them can be told from the others, nor need be."""
        kept = [place for place, value in enumerate(hashes) if value not in repeated]
        self.numbers = array("Q", (self.numbers[place] for place in kept))
        self._places = array("I", (self._places[place] for place in kept))
        self._keys = array("I", (self._keys[place] for place in kept))

    def _made(self, place: int) -> Listed:
        uidl, nth = self._uidls.key(self._keys[place]), self._shared.get(place, 0)
        # no UIDL as text holds a space
        return Listed(f"{uidl} #{nth}" if nth > 1 else uidl, self._sizes.size(self._places[place]), bool(nth))


class _Numbers(Mapping[str, int]):
    """Message numbers by key, of very many messages: looked for among them all, so better for many keys at once."""

    def __init__(self, messages: _Messages) -> None:
        self._messages = messages
        self._found: dict[str, int] = {}

    def __getitem__(self, key: str) -> int:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def look_up(self, keys: Iterable[str]) -> None:
        wanted = frozenset(keys) - self._found.keys()
        if wanted:
            self._found = {message.key: number for message, number in zip(self._messages, self._messages.numbers,
                                                                          strict=True) if message.key in wanted}


def look_up(drop: Maildrop, keys: Iterable[str]) -> None:
    """Make the numbers of these keys known in `drop.numbers`, where the drop is so large that not all are."""
    if isinstance(drop.numbers, _Numbers):
        drop.numbers.look_up(keys)


def _maildrop(messages: _Messages, *, stable: bool, notes: tuple[str, ...] = ()) -> Maildrop:
    if len(messages) > _FEW:
        return Maildrop(messages, _Numbers(messages), stable, notes)
    made = tuple(messages)
    numbers = dict(zip((message.key for message in made), messages.numbers, strict=True))
    return Maildrop(made, numbers, stable, notes)


def _both(sizes: Sizes, uidls: Uidls) -> Iterator[tuple[int, int | None, int | None]]:
    """Each number that is in either, ascending, with its places."""
    if sizes.numbers == uidls.numbers:
        yield from ((number, place, place) for number, place in sizes.ordered())
        return
    left, right = sizes.ordered(), uidls.ordered()
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0] < two[0]):
            assert one is not None  # noqa: S101  # the condition of the loop
            yield one[0], one[1], None
            one = next(left, None)
        elif one is None or two[0] < one[0]:
            yield two[0], None, two[1]
            two = next(right, None)
        else:
            yield one[0], one[1], two[1]
            one, two = next(left, None), next(right, None)
