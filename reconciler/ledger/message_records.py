"""Messages and deliveries: what was collected, and which recipients have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from reconciler.ledger.column_types import COUNTED, State, code, microseconds, octets
from reconciler.ledger.database_dialects import ManyRows, Row, upsert
from reconciler.ledger.folder_records import FOLDER, FolderRecords, chunks, folder_parameters
from reconciler.ledger.recorded_messages import RecordedMessages
from reconciler.ledger.tables import collectors, deliveries, messages
from reconciler.model.messages import Folder
from reconciler.model.outcomes import Entry, MessageState, Record

_REMEMBER = (
    update(collectors)
    .where(collectors.c.name == bindparam("collector"))
    .values(remembered=collectors.c.remembered + bindparam("more"), standing=null())
)
_GONE = (
    update(messages)
    .where(
        messages.c.folder_id == bindparam("in_folder"),
        messages.c.deleted_at.is_(None),
        messages.c.key.in_(bindparam("keys", expanding=True)),
    )
    .values(deleted_at=bindparam("now"))
)


class MessageRecords(FolderRecords):
    """Implements `model.interfaces.Ledger`, except its sessions and orphans."""

    def identity(self, collector: str) -> tuple[str, int]:
        """Return the collector's first name and its epoch. Raises LedgerUnavailable, also where the
        collector is unknown."""
        with self.reading() as connection:
            found = connection.execute(
                select(collectors.c.first_name, collectors.c.epoch).where(
                    collectors.c.name == collector
                )
            ).one_or_none()
        if found is None:
            raise self.unknown(collector)
        return found.first_name or collector, found.epoch

    def known(self, collector: str, folder: Folder) -> Mapping[str, Entry]:
        """Return the messages recorded for exactly this account, folder and validity in the current
        epoch."""
        with self.reading() as connection:
            folder_id: int | None = connection.execute(
                FOLDER, folder_parameters(collector, folder)
            ).scalar()
        return {} if folder_id is None else RecordedMessages(self.reading, folder_id)

    def record(
        self, collector: str, folder: Folder, records: Sequence[Record], now: datetime
    ) -> None:
        """Insert or update messages. Recipients of a message are added to those it has already."""
        if not records:
            return
        with self.writing() as connection:
            folder_id = self.folder_id(connection, collector, folder)
            for part in chunks(records):
                more = _record(connection, folder_id, part, now)
                connection.execute(_REMEMBER, {"collector": collector, "more": more})

    def record_deleted(
        self, collector: str, folder: Folder, keys: Iterable[str], now: datetime
    ) -> None:
        """Record that every occurrence of these keys is gone from the server."""
        with self.writing() as connection:
            folder_id = connection.execute(FOLDER, folder_parameters(collector, folder)).scalar()
            for part in chunks(keys):
                connection.execute(_GONE, {"in_folder": folder_id, "keys": part, "now": now})
            connection.execute(_REMEMBER, {"collector": collector, "more": 0})


def _record(
    connection: Connection, folder_id: int, records: Sequence[Record], now: datetime
) -> int:
    """Insert or update these messages; return how many were not known before."""
    identities = [(folder_id, record.key, record.occurrence) for record in records]
    before = set(_REMEMBERED.run(connection, identities))
    at = microseconds(now)
    _MESSAGES.run(connection, [_row(folder_id, record, at) for record in records])
    _DELIVERIES.run(
        connection,
        [
            (*identity, delivered.recipient, delivered.name, at)
            for identity, record in zip(identities, records, strict=True)
            for delivered in record.delivered
        ],
    )
    return len(
        {
            (record.key, record.occurrence)
            for record in records
            if record.state is not MessageState.LISTED
        }
        - before
    )


def _replaced(new: Any) -> dict[str, Any]:
    """Return the new values for a known message. Its fingerprint stays where the new record has
    none."""
    return {
        "state": new.state,
        "size": new.size,
        "reason": new.reason,
        "last_at": new.last_at,
        "deleted_at": new.deleted_at,
        "wait": new.wait,
        "attempts": messages.c.attempts + new.attempts,
        "header": func.coalesce(new.header, messages.c.header),
        "content": func.coalesce(new.content, messages.c.content),
    }


def _latest(new: Any) -> dict[str, Any]:
    return {"name": new.name, "at": new.at}


def _row(folder_id: int, record: Record, at: int) -> tuple[Any, ...]:
    """Return the values of a record in the order of `_COLUMNS`."""
    header = content = None
    if record.fingerprint is not None:
        header = octets(record.fingerprint.header)
        content = octets(record.fingerprint.content) or None
    return (
        folder_id,
        record.key,
        record.occurrence,
        code(record.state),
        record.size,
        int(record.counted or record.state in COUNTED),
        header,
        content,
        record.reason,
        at,
        at,
        None,
        record.wait,
    )


_IDENTITY = ("folder_id", "key", "occurrence")
_COLUMNS = (
    *_IDENTITY,
    "state",
    "size",
    "attempts",
    "header",
    "content",
    "reason",
    "first_at",
    "last_at",
    "deleted_at",
    "wait",
)


def _is(row: Row) -> ColumnElement[bool]:
    """Return the condition that a message is the one of `row`."""
    return and_(*(messages.c[name] == row(name) for name in _IDENTITY))


def _remembered(_: Connection, rows: Sequence[Row]) -> ClauseElement:
    listed = literal_column(str(code(MessageState.LISTED)), State)
    return union_all(
        *(
            select(messages.c.key, messages.c.occurrence).where(
                _is(row), messages.c.state != listed
            )
            for row in rows
        )
    )


def _recorded(connection: Connection, rows: Sequence[Row]) -> ClauseElement:
    statement: ClauseElement = upsert(connection, messages, _IDENTITY, _replaced).values(
        [{name: row(name) for name in _COLUMNS} for row in rows]
    )
    return statement


def _delivered(connection: Connection, rows: Sequence[Row]) -> ClauseElement:
    statement: ClauseElement = upsert(
        connection, deliveries, ("message_id", "recipient"), _latest
    ).values(
        [
            {
                "message_id": select(messages.c.id).where(_is(row)).scalar_subquery(),
                **{name: row(name) for name in ("recipient", "name", "at")},
            }
            for row in rows
        ]
    )
    return statement


_REMEMBERED = ManyRows(_remembered, _IDENTITY)
_MESSAGES = ManyRows(_recorded, _COLUMNS)
_DELIVERIES = ManyRows(_delivered, (*_IDENTITY, "recipient", "name", "at"))
