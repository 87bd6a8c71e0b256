"""Messages and deliveries: the ledger proper."""

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
    case,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from reconciler.ledger.dialects import ManyRows, Row, upsert
from reconciler.ledger.known import Known, Notable
from reconciler.ledger.places import FOLDER, Places, cut, named
from reconciler.ledger.schema import NOTABLE, collectors, deliveries, messages
from reconciler.ledger.types import COUNTED, State, code, microseconds, octets
from reconciler.model.messages import Folder
from reconciler.model.outcomes import Entry, MessageState, Record

_COLLECTED = (
    select(messages.c.key, messages.c.occurrence)
    .where(messages.c.folder_id == bindparam("place"), ~NOTABLE)
    .order_by(messages.c.key, messages.c.occurrence)
)
_NOTABLE = (
    select(messages.c.key, messages.c.occurrence, messages.c.id, messages.c.state, messages.c.attempts,
           messages.c.deleted_at.is_not(None), messages.c.header, messages.c.content, messages.c.reason,
           case((messages.c.state == MessageState.PAUSED, messages.c.last_at)))
    .where(messages.c.folder_id == bindparam("place"), NOTABLE)
    .order_by(messages.c.occurrence)
)
_DELIVERED = (
    select(deliveries.c.message_id, deliveries.c.recipient)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(messages.c.folder_id == bindparam("place"), NOTABLE, messages.c.state != MessageState.COLLECTED)
)
_REMEMBER = (update(collectors).where(collectors.c.name == bindparam("collector"))
             .values(remembered=collectors.c.remembered + bindparam("more"), standing=null()))
_GONE = update(messages).where(messages.c.folder_id == bindparam("place"), messages.c.deleted_at.is_(None),
                               messages.c.key.in_(bindparam("keys", expanding=True)),
                               ).values(deleted_at=bindparam("now"))


class MessageRecords(Places):
    """`model.interfaces.Ledger`, but for its sessions."""

    def identity(self, collector: str) -> tuple[str, int]:
        """LedgerUnavailable also where the collector is unknown."""
        with self.reading() as connection:
            found = connection.execute(select(collectors.c.first_name, collectors.c.epoch).where(
                collectors.c.name == collector)).one_or_none()
        if found is None:
            raise self.unknown(collector)
        return found.first_name or collector, found.epoch

    def known(self, collector: str, folder: Folder) -> Mapping[str, Entry]:
        """What is recorded of exactly this account, folder and validity in the current epoch."""
        with self.reading() as connection:
            place = connection.execute(FOLDER, named(collector, folder)).scalar()
            if place is None:
                return {}
            where = {"place": place}
            return Known(connection.execute(_COLLECTED, where).all(),
                         (Notable._make(row) for row in connection.execute(_NOTABLE, where)),
                         _recipients(connection, place))

    def record(self, collector: str, folder: Folder, records: Sequence[Record], now: datetime) -> None:
        """Add to or replace what is known; who has a message already is added to, never taken away."""
        if not records:
            return
        with self.writing() as connection:
            place = self.place(connection, collector, folder)
            for part in cut(records):
                more = _record(connection, place, part, now)
                connection.execute(_REMEMBER, {"collector": collector, "more": more})

    def record_deleted(self, collector: str, folder: Folder, keys: Iterable[str], now: datetime) -> None:
        """Every occurrence of these keys is gone from the server."""
        with self.writing() as connection:
            place = connection.execute(FOLDER, named(collector, folder)).scalar()
            for part in cut(keys):
                connection.execute(_GONE, {"place": place, "keys": part, "now": now})
            connection.execute(_REMEMBER, {"collector": collector, "more": 0})


def _recipients(connection: Connection, place: int) -> dict[int, frozenset[str]]:
    """Who has a message of this folder that not everybody has yet, by the message's id."""
    found: dict[int, set[str]] = {}
    for message, recipient in connection.execute(_DELIVERED, {"place": place}):
        found.setdefault(message, set()).add(recipient)
    return {message: frozenset(recipients) for message, recipients in found.items()}


def _record(connection: Connection, place: int, records: Sequence[Record], now: datetime) -> int:
    """How many of them were not known before."""
    identities = [(place, record.key, record.occurrence) for record in records]
    before = set(_REMEMBERED.run(connection, identities))
    at = microseconds(now)
    _MESSAGES.run(connection, [_row(place, record, at) for record in records])
    _DELIVERIES.run(connection, [(*identity, delivered.recipient, delivered.name, at)
                                 for identity, record in zip(identities, records, strict=True)
                                 for delivered in record.delivered])
    return len({(record.key, record.occurrence) for record in records
                if record.state is not MessageState.LISTED} - before)


def _replaced(new: Any) -> dict[str, Any]:
    """What is recorded of a message again; its fingerprint stays where the new record has none."""
    return {"state": new.state, "size": new.size, "reason": new.reason, "last_at": new.last_at,
            "deleted_at": new.deleted_at, "attempts": messages.c.attempts + new.attempts,
            "header": func.coalesce(new.header, messages.c.header),
            "content": func.coalesce(new.content, messages.c.content)}


def _latest(new: Any) -> dict[str, Any]:
    return {"name": new.name, "at": new.at}


def _row(place: int, record: Record, at: int) -> tuple[Any, ...]:
    """In the order of `_COLUMNS`."""
    header = content = None
    if record.fingerprint is not None:
        header = octets(record.fingerprint.header)
        content = octets(record.fingerprint.content) or None
    return (place, record.key, record.occurrence, code(record.state), record.size,
            int(record.counted or record.state in COUNTED), header, content, record.reason, at, at, None)


_IDENTITY = ("folder_id", "key", "occurrence")
_COLUMNS = (*_IDENTITY, "state", "size", "attempts", "header", "content", "reason", "first_at", "last_at", "deleted_at")


def _is(row: Row) -> ColumnElement[bool]:
    return and_(*(messages.c[name] == row(name) for name in _IDENTITY))


def _remembered(_: Connection, rows: Sequence[Row]) -> ClauseElement:
    listed = literal_column(str(code(MessageState.LISTED)), State)
    return union_all(*(select(messages.c.key, messages.c.occurrence).where(_is(row), messages.c.state != listed)
                       for row in rows))


def _recorded(connection: Connection, rows: Sequence[Row]) -> ClauseElement:
    statement: ClauseElement = upsert(connection, messages, _IDENTITY, _replaced).values(
        [{name: row(name) for name in _COLUMNS} for row in rows])
    return statement


def _delivered(connection: Connection, rows: Sequence[Row]) -> ClauseElement:
    statement: ClauseElement = upsert(connection, deliveries, ("message_id", "recipient"), _latest).values(
        [{"message_id": select(messages.c.id).where(_is(row)).scalar_subquery(),
          **{name: row(name) for name in ("recipient", "name", "at")}} for row in rows])
    return statement


_REMEMBERED = ManyRows(_remembered, _IDENTITY)
_MESSAGES = ManyRows(_recorded, _COLUMNS)
_DELIVERIES = ManyRows(_delivered, (*_IDENTITY, "recipient", "name", "at"))
