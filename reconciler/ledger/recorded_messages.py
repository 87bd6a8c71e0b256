"""The recorded messages of one folder. They are read in blocks of keys, for there may be
millions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Select,
    bindparam,
    case,
    cast,
    func,
    select,
)

from reconciler.ledger.column_types import code
from reconciler.ledger.folder_records import chunks
from reconciler.ledger.tables import NOTABLE, deliveries, messages
from reconciler.model.interfaces import Entries
from reconciler.model.outcomes import Entry, MessageState

_FOLDER_ID: BindParameter[int] = bindparam("in_folder")
_COLLECTED = (
    select(messages.c.key, messages.c.occurrence)
    .where(messages.c.folder_id == _FOLDER_ID, ~NOTABLE)
    .order_by(messages.c.key, messages.c.occurrence)
)
_COLUMNS = (
    messages.c.key,
    messages.c.occurrence,
    messages.c.id,
    messages.c.state,
    messages.c.attempts,
    messages.c.deleted_at.is_not(None),
    messages.c.header,
    messages.c.content,
    messages.c.reason,
    case(
        (
            (messages.c.state == MessageState.PAUSED) | messages.c.wait.is_not(None),
            messages.c.last_at,
        )
    ),
    messages.c.wait,
)
_NOTABLE = (
    select(*_COLUMNS)
    .where(messages.c.folder_id == _FOLDER_ID, NOTABLE)
    .order_by(messages.c.occurrence)
)
_THESE = (
    select(*_COLUMNS)
    .where(messages.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(messages.c.occurrence)
)
_DELIVERED = (
    select(deliveries.c.message_id, deliveries.c.recipient)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(messages.c.folder_id == _FOLDER_ID, NOTABLE, messages.c.state != MessageState.COLLECTED)
)
_DELIVERED_OF_THESE = select(deliveries.c.message_id, deliveries.c.recipient).where(
    deliveries.c.message_id.in_(bindparam("ids", expanding=True))
)
_ANY = select(messages.c.id).where(messages.c.folder_id == _FOLDER_ID).limit(1)
_LEFT = _ANY.where(
    messages.c.deleted_at.is_(None),
    (messages.c.state != MessageState.LISTED) | messages.c.header.is_not(None),
)
_BEYOND = _ANY.where(messages.c.deleted_at.is_(None), messages.c.content.is_not(None)).offset(
    bindparam("count")
)
_LATEST = select(func.max(cast(messages.c.key, BigInteger))).where(
    messages.c.folder_id == _FOLDER_ID
)


def _found(connection: Connection, count: int) -> str:
    """Return the driver's statement that finds `count` keys of a folder. SQLAlchemy would take
    longer to process each key than the database takes to find it."""
    text = _TEXTS.get((connection.dialect.name, count))
    if text is None:
        columns = (
            messages.c.key,
            messages.c.occurrence,
            messages.c.id,
            messages.c.state,
            messages.c.deleted_at,
            messages.c.reason,
        )
        text = str(
            select(*columns)
            .where(
                messages.c.folder_id == _FOLDER_ID,
                messages.c.key.in_([bindparam(f"key_{number}") for number in range(count)]),
            )
            .compile(dialect=connection.dialect)
        )
        _TEXTS[connection.dialect.name, count] = text
    return text


_TEXTS: dict[tuple[str, int], str] = {}
_AT_ONCE = (20, 500)
"""Keys in one statement. There are few sizes, so that the driver keeps the statements prepared. A
shorter list is filled up with its last key."""
_JUST_COLLECTED = code(MessageState.COLLECTED)


class Notable(NamedTuple):
    """The row of a message that is more than just collected (`tables.NOTABLE`)."""

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
    wait: float | None = None


class KnownEntries(Mapping[str, Entry]):
    """Entries by key, made when they are asked for."""

    __slots__ = ("_delivered", "_found")

    def __init__(
        self,
        collected: Iterable[tuple[str, int]],
        notable: Iterable[Notable],
        delivered: Mapping[int, frozenset[str]],
    ) -> None:
        """`collected` has (key, occurrence) of messages that are just collected, `notable` the
        others. Both are in the order of occurrence: the latest one of each key counts. `delivered`
        has recipients by row id.
        """
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
        return Entry(
            key,
            found.state,
            found.occurrence,
            found.attempts,
            self._delivered.get(found.id, frozenset()),
            found.deleted,
            (found.content or "")
            if found.deleted or found.state is not MessageState.COLLECTED
            else "",
            (found.header or "") if found.state is MessageState.LISTED else "",
            found.reason,
            found.at,
            found.wait,
        )

    def __contains__(self, key: object) -> bool:
        return key in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class RecordedMessages(Entries):
    """The records of the folder with this row id. Used as a mapping, they are read as a whole."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[Connection]], folder_id: int
    ) -> None:
        self._reading = reading
        self._folder_id = folder_id
        self._whole: KnownEntries | None = None
        self._block: tuple[Sequence[str], KnownEntries] = ((), KnownEntries((), (), {}))

    def of(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        if self._block[0] != keys:
            with self._reading() as connection:
                self._block = keys, _entries_of_keys(connection, self._folder_id, keys)
        return self._block[1]

    def latest_uid(self) -> int:
        return int(self._one(_LATEST) or 0)

    def any_on_server(self) -> bool:
        return self._one(_LEFT) is not None

    def more_on_server_than(self, count: int) -> bool:
        return self._one(_BEYOND, count=count) is not None

    def __bool__(self) -> bool:
        return self._one(_ANY) is not None

    def __getitem__(self, key: str) -> Entry:
        return self._all()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _one(self, statement: Select[int], **named: int) -> int | None:
        with self._reading() as connection:
            found: int | None = connection.execute(
                statement, {"in_folder": self._folder_id, **named}
            ).scalar()
        return found

    def _all(self) -> KnownEntries:
        if self._whole is None:
            where = {"in_folder": self._folder_id}
            with self._reading() as connection:
                self._whole = KnownEntries(
                    ((key, nth) for key, nth in connection.execute(_COLLECTED, where)),
                    (Notable._make(row) for row in connection.execute(_NOTABLE, where)),
                    _recipients((id_, to) for id_, to in connection.execute(_DELIVERED, where)),
                )
        return self._whole


def _entries_of_keys(connection: Connection, folder_id: int, keys: Sequence[str]) -> KnownEntries:
    """Return the entries of these keys. Most messages are just collected (`tables.NOTABLE`), so
    only the rows of the others are read in full."""
    collected: list[tuple[str, int]] = []
    others: list[int] = []
    for key, occurrence, id_, state, deleted_at, reason in _rows(connection, folder_id, keys):
        if state == _JUST_COLLECTED and deleted_at is None and not reason:
            collected.append((key, occurrence))
        else:
            others.append(id_)
    collected.sort(key=_occurrence)
    notable: list[Notable] = []
    delivered: dict[int, frozenset[str]] = {}
    for part in chunks(others):
        notable.extend(Notable._make(row) for row in connection.execute(_THESE, {"ids": part}))
        delivered |= _recipients(
            (id_, to) for id_, to in connection.execute(_DELIVERED_OF_THESE, {"ids": part})
        )
    notable.sort(key=_occurrence)
    return KnownEntries(collected, notable, delivered)


def _rows(connection: Connection, folder_id: int, keys: Sequence[str]) -> Iterator[Sequence[Any]]:
    for part in chunks(keys):
        count = next(size for size in _AT_ONCE if len(part) <= size)
        values = (folder_id, *part, *[part[-1]] * (count - len(part)))
        yield from connection.exec_driver_sql(_found(connection, count), values).all()


def _occurrence(row: Sequence[Any]) -> Any:
    return row[1]


def _recipients(rows: Iterable[tuple[int, str]]) -> dict[int, frozenset[str]]:
    """Return the recipients that each message was delivered to, by the message's row id."""
    found: dict[int, set[str]] = {}
    for message, recipient in rows:
        found.setdefault(message, set()).add(recipient)
    return {message: frozenset(recipients) for message, recipients in found.items()}
