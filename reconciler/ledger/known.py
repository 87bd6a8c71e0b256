"""What is recorded of a folder, cheap to load and to look into: a poll asks about every message of a mailbox."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from reconciler.model.outcomes import Entry, MessageState


class Notable(NamedTuple):
    """A message that is not just collected: what `Entry` tells of it. `id` is the row's."""

    key: str
    occurrence: int
    id: int
    state: MessageState
    attempts: int
    deleted: bool
    header: str | None
    content: str | None
    reason: str
    at: datetime | None = None


class Known(Mapping[str, Entry]):
    """Entries by key, made when they are asked for.

    `collected` are (key, occurrence) of those that are collected and still on the server, as far as we know; `notable`
    the others. Both come in the order of occurrence: the latest of each key counts. `delivered`: recipients by id.
    """

    __slots__ = ("_delivered", "_found")

    def __init__(self, collected: Iterable[tuple[str, int]], notable: Iterable[Notable],
                 delivered: Mapping[int, frozenset[str]]) -> None:
        self._found: dict[str, int | Notable] = dict(collected)
        self._delivered = delivered
        for row in notable:
            other = self._found.get(row.key)
            if not (isinstance(other, int) and other > row.occurrence):
                self._found[row.key] = row

    def __getitem__(self, key: str) -> Entry:
        found = self._found[key]
        if isinstance(found, int):
            return Entry(key, MessageState.COLLECTED, found)
        return Entry(key, found.state, found.occurrence, found.attempts,
                     self._delivered.get(found.id, frozenset()), found.deleted,
                     (found.content or "") if found.deleted or found.state is not MessageState.COLLECTED else "",
                     (found.header or "") if found.state is MessageState.LISTED else "", found.reason, found.at)

    def __contains__(self, key: object) -> bool:
        return key in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
