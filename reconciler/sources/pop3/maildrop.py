"""The messages of a maildrop, from the replies to LIST and UIDL.

The replies are kept in columns (`maildrop_columns`); Python objects are made on access.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import eq
from typing import overload

from msgspec import Struct

from reconciler.model.messages import Listed
from reconciler.sources.listing_columns import RepeatedTexts
from reconciler.sources.pop3.maildrop_columns import SizeColumn, UidlColumn

MOST_TWICE = 50_000
"""Messages that may share a UIDL with others; if there are more, all of them are left alone."""
_FEW = 5_000
"""Messages up to which a tuple of them is kept; more would take too much memory."""


class Maildrop(Struct, frozen=True):
    """A maildrop as this session sees it."""

    messages: Sequence[Listed]
    numbers: Mapping[str, int]
    """The message numbers of this session by key, in their order."""
    keys_stable: bool
    """Whether keys are UIDLs, and not numbers of this session."""
    notes: tuple[str, ...] = ()


def maildrop(listed: Iterable[bytes], identified: Iterable[bytes] | None) -> Maildrop:
    """Return the maildrop of these lines of LIST and UIDL; see `merged`."""
    sizes, uidls = SizeColumn(), None if identified is None else UidlColumn()
    sizes.take(b"".join(line + b"\n" for line in listed))
    if uidls is not None:
        uidls.take(b"".join(line + b"\n" for line in identified or ()))
    return merged(sizes, uidls)


def merged(sizes: SizeColumn, uidls: UidlColumn | None) -> Maildrop:
    """Return the maildrop of both columns.

    Without UIDL (hazard P1) keys are numbers of this session. Only messages that are in both
    columns are listed (hazard P8). Of messages with the same UIDL the second gets the key
    "UIDL #2", and so on; all of them are ambiguous (hazard P2).
    """
    if uidls is None:
        return _maildrop(_WithoutUidl(sizes), stable=False)
    found = _WithUidl(sizes, uidls)
    notes = (
        f"{found.left_out} messages are left alone: the server's LIST and UIDL disagree on them",
    )
    return _maildrop(found, stable=True, notes=notes if found.left_out else ())


class _Messages(Sequence[Listed]):
    """A sequence whose messages are made on access; `numbers[n]` is the n-th message's number."""

    numbers: Sequence[int]

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


class _WithoutUidl(_Messages):
    """The messages of a server without UIDL."""

    def __init__(self, sizes: SizeColumn) -> None:
        self._sizes = sizes
        self._places = array("I")
        numbers = array("I")
        for number, place in sizes.ordered():
            numbers.append(number)
            self._places.append(place)
        self.numbers = numbers

    def _made(self, place: int) -> Listed:
        return Listed(f"#{self.numbers[place]}", self._sizes.size(self._places[place]))


class _WithUidl(_Messages):
    """The messages of a server with UIDL.

    `left_out` counts the numbers that only one of both lists has, or whose UIDL too many share.
    """

    def __init__(self, sizes: SizeColumn, uidls: UidlColumn) -> None:
        self._sizes, self._uidls = sizes, uidls
        self._places: Sequence[int]
        self._keys: Sequence[int]
        numbers, places, keys = array("I"), array("I"), array("I")
        either = 0
        if (
            isinstance(sizes.numbers, range)
            and sizes.numbers == uidls.numbers
            and not uidls.incomplete
        ):
            either = len(sizes)
            self.numbers, self._places, self._keys = sizes.numbers, range(either), range(either)
        else:
            for number, place, key in _both(sizes, uidls):
                either += 1
                if place is not None and key is not None and uidls.key(key):
                    numbers.append(number)
                    places.append(place)
                    keys.append(key)
            self.numbers, self._places, self._keys = numbers, places, keys
        self._shared: dict[int, int] = self._count_shared()
        self.left_out = either - len(self.numbers)

    def _count_shared(self) -> dict[int, int]:
        """Return, by place, which of the messages with the same UIDL a message is (from 1)."""
        repeated = RepeatedTexts(self._uidls.keys(self._keys), len(self._keys))
        if not repeated.any:
            return {}
        bearers = list(
            islice(
                (
                    (place, uidl)
                    for place, uidl in enumerate(self._uidls.keys(self._keys))
                    if uidl in repeated
                ),
                2 * MOST_TWICE + 1,
            )
        )
        counted = Counter(uidl for _, uidl in bearers)
        shared = sum(count for count in counted.values() if count > 1)
        if len(bearers) > 2 * MOST_TWICE or shared > MOST_TWICE:
            self._leave_out(repeated)
            return {}
        which: dict[int, int] = {}
        seen_so_far: Counter[str] = Counter()
        for place, uidl in bearers:
            if counted[uidl] > 1:
                seen_so_far[uidl] += 1
                which[place] = seen_so_far[uidl]
        return which

    def _leave_out(self, repeated: RepeatedTexts) -> None:
        """Leave out all messages that share a UIDL: there are far too many of them."""
        kept = array(
            "I",
            (place for place, key in enumerate(self._keys) if self._uidls.key(key) not in repeated),
        )
        self.numbers = array("I", map(self.numbers.__getitem__, kept))
        self._places = array("I", map(self._places.__getitem__, kept))
        self._keys = array("I", map(self._keys.__getitem__, kept))

    def __iter__(self) -> Iterator[Listed]:
        """Yield the messages as `_made` makes them, but faster."""
        shared, size = self._shared, self._sizes.size
        for place, (uidl, number) in enumerate(
            zip(self._uidls.keys(self._keys), self._places, strict=True)
        ):
            yield self._made(place) if shared and place in shared else Listed(uidl, size(number))

    def _made(self, place: int) -> Listed:
        uidl, nth = self._uidls.key(self._keys[place]), self._shared.get(place, 0)
        # no UIDL as text holds a space
        return Listed(
            f"{uidl} #{nth}" if nth > 1 else uidl, self._sizes.size(self._places[place]), bool(nth)
        )


class _NumbersByKey(Mapping[str, int]):
    """The message numbers of very many messages, by key.

    Keys must be searched by `look_up` before they are asked for. A search begins where the last
    one ended, so that asking for all keys in their order costs one pass.
    """

    def __init__(self, messages: _Messages) -> None:
        self._messages = messages
        self._found: dict[str, int] = {}
        self._next = 0

    def __getitem__(self, key: str) -> int:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def look_up(self, keys: Iterable[str]) -> None:
        """Make the numbers of these keys known, and forget others."""
        wanted = frozenset(keys)
        if wanted <= self._found.keys():
            return
        self._found = {key: self._found[key] for key in wanted & self._found.keys()}
        missing = len(wanted) - len(self._found)
        for place in chain(range(self._next, len(self._messages)), range(self._next)):
            key = self._messages[place].key
            if key in wanted and key not in self._found:
                self._found[key] = self._messages.numbers[place]
                missing -= 1
                if not missing:
                    self._next = place + 1
                    return


def look_up(drop: Maildrop, keys: Iterable[str]) -> None:
    """Make the numbers of these keys known in `drop.numbers`; a large maildrop knows not all."""
    if isinstance(drop.numbers, _NumbersByKey):
        drop.numbers.look_up(keys)


def _maildrop(messages: _Messages, *, stable: bool, notes: tuple[str, ...] = ()) -> Maildrop:
    if len(messages) > _FEW:
        return Maildrop(messages, _NumbersByKey(messages), stable, notes)
    made = tuple(messages)
    numbers = dict(zip((message.key for message in made), messages.numbers, strict=True))
    return Maildrop(made, numbers, stable, notes)


def _both(sizes: SizeColumn, uidls: UidlColumn) -> Iterator[tuple[int, int | None, int | None]]:
    """Yield each number in either column, ascending, with its places in both."""
    if isinstance(sizes.numbers, range) and sizes.numbers == uidls.numbers:
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
