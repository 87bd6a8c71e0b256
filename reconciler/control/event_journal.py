"""The numbered changes of the shown collectors. A reader that was away continues where it stopped.

Only the latest change of each collector is kept: a reader that missed ten changes of a collector
gets the last one. So the number of entries is bounded by that of collectors and removals.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from reconciler.model.status import ShownCollector

REMOVALS = 10_000
"""Removed collectors that are remembered. A reader that missed more of them starts anew."""


class BoardChange(Struct, frozen=True):
    """What is shown of a collector since change `number`; None: it is removed."""

    number: int
    name: str
    collector: ShownCollector | None


class EventJournal:
    """Numbers the changes, and wakes the readers. An id is `BOOT-NUMBER`; ids of an earlier run of
    the daemon are not known."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4)
        self._latest: dict[str, BoardChange] = {}
        """The latest change of each collector, in the order of their numbers."""
        self._removed: dict[str, BoardChange] = {}
        self._forgotten = 0
        """The number of the newest removal that is not remembered."""
        self._number = 0
        self._readers: set[asyncio.Event] = set()

    def put(self, name: str, found: ShownCollector | None) -> None:
        """Note a change."""
        self._number += 1
        self._latest.pop(name, None)
        self._removed.pop(name, None)
        change = BoardChange(self._number, name, found)
        if found is not None:
            self._latest[name] = change
        else:
            self._removed[name] = change
            if len(self._removed) > REMOVALS:
                self._forgotten = self._removed.pop(next(iter(self._removed))).number
        for reader in self._readers:
            reader.set()

    def identity(self, number: int | None = None) -> str:
        """Return the id that a reader names to go on after change `number`; None: the id of a
        reader that does not know the present state yet, and has to begin anew."""
        return f"{self._boot}-{'' if number is None else number}"

    @property
    def number(self) -> int:
        """The number of the last change."""
        return self._number

    def position(self, identity: str) -> int | None:
        """Return the number that an id stands for; None where what came after it is not known any
        more."""
        boot, _, number = identity.partition("-")
        if boot != self._boot or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        position = int(number)
        return position if self._forgotten <= position <= self._number else None

    def since(self, number: int) -> Sequence[BoardChange]:
        """Return what changed after `number`, the latest of each collector, in their order."""
        found: list[BoardChange] = []
        for kept in (self._latest, self._removed):
            for change in reversed(kept.values()):
                if change.number <= number:
                    break
                found.append(change)
        return sorted(found, key=lambda change: change.number)

    @property
    def is_read(self) -> bool:
        """Whether anybody reads the changes now."""
        return bool(self._readers)

    @contextmanager
    def reading(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change inside the context; the reader clears it."""
        woken = asyncio.Event()
        self._readers.add(woken)
        try:
            yield woken
        finally:
            self._readers.discard(woken)
