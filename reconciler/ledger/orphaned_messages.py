"""Orphans: messages recorded in folders that the server no longer lists. They may be found again
under other keys (hazards I9, P3, Y18)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    null,
    select,
    update,
)

from reconciler.ledger.folder_records import FolderRecords, chunks, known_folders
from reconciler.ledger.tables import collectors, deliveries, messages
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import Adoption, Entry, MessageState, Orphan

_FOUND = (
    select(
        messages.c.id,
        messages.c.folder_id,
        messages.c.key,
        messages.c.occurrence,
        messages.c.state,
        messages.c.attempts,
        messages.c.header,
        messages.c.content,
        messages.c.reason,
    )
    .where(
        messages.c.folder_id.in_(bindparam("in_folders", expanding=True)),
        messages.c.deleted_at.is_(None),
        messages.c.header.in_(bindparam("headers", expanding=True)),
        messages.c.content.is_not(None),
    )
    .order_by(messages.c.id)
)
_EQUAL = _FOUND.where(
    messages.c.content == bindparam("content", type_=messages.c.content.type)
).limit(1000)
"""Any of them will do, so a limit spares reading all of them."""
_ORPHANED = (
    select(messages.c.header, func.count())
    .where(
        messages.c.folder_id.in_(bindparam("in_folders", expanding=True)),
        messages.c.deleted_at.is_(None),
        messages.c.header.in_(bindparam("headers", expanding=True)),
        messages.c.content.is_not(None),
    )
    .group_by(messages.c.header)
)
_LISTED = (
    select(messages.c.header, func.count())
    .where(
        messages.c.folder_id.in_(bindparam("in_folders", expanding=True)),
        messages.c.state == MessageState.LISTED,
        messages.c.header.in_(bindparam("headers", expanding=True)),
    )
    .group_by(messages.c.header)
)
_DELIVERED = select(deliveries.c.message_id, deliveries.c.recipient).where(
    deliveries.c.message_id.in_(bindparam("ids", expanding=True))
)
_THERE = select(messages.c.key, messages.c.occurrence).where(
    messages.c.folder_id == bindparam("in_folder"),
    messages.c.key.in_(bindparam("keys", expanding=True)),
)
_MAKE_ROOM = delete(messages).where(
    messages.c.folder_id == bindparam("in_folder"),
    messages.c.content.is_(None),
    messages.c.state != MessageState.COLLECTED,
    messages.c.key.in_(bindparam("keys", expanding=True)),
)
_MOVE = (
    update(messages)
    .where(messages.c.id == bindparam("number"))
    .values(
        folder_id=bindparam("in_folder"),
        key=bindparam("new_key"),
        occurrence=bindparam("nth"),
        state=bindparam("becomes", type_=messages.c.state.type),
        last_at=bindparam("now", type_=messages.c.last_at.type),
    )
)


class OrphanedMessages(FolderRecords):
    """Implements the part of `model.interfaces.Ledger` about orphans. `folders` are those that the
    server lists."""

    def orphaned(self, collector: str, folders: Sequence[Folder]) -> bool:
        with self.reading() as connection:
            return any(
                connection.execute(_any_of(folder_id)).scalar()
                for folder_id in _others(connection, collector, folders)
            )

    def orphans(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str], content: str = ""
    ) -> Sequence[Orphan]:
        with self.reading() as connection:
            others = _others(connection, collector, folders)
            return [
                orphan
                for part in chunks(set(headers))
                for orphan in _orphans(connection, others, part, content)
            ]

    def orphans_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        with self.reading() as connection:
            return _counted(
                connection, _ORPHANED, list(_others(connection, collector, folders)), headers
            )

    def listed_with(
        self, collector: str, folders: Sequence[Folder], headers: Iterable[str]
    ) -> Mapping[str, int]:
        with self.reading() as connection:
            known = [
                id_
                for id_, folder in known_folders(connection, collector).items()
                if folder in folders
            ]
            return _counted(connection, _LISTED, known, headers)

    def adopt(
        self, collector: str, folder: Folder, adoptions: Sequence[Adoption], now: datetime
    ) -> None:
        """Move orphans to their new keys.

        A message that was only listed or tried under the new key is removed. Beside a message that
        was collected under it, the orphan becomes a further `occurrence`.
        """
        with self.writing() as connection:
            folder_id = self.folder_id(connection, collector, folder)
            for part in chunks(adoptions):
                wanted = {"in_folder": folder_id, "keys": [adoption.key for adoption in part]}
                connection.execute(_MAKE_ROOM, wanted)
                taken: dict[str, int] = {}
                for key, occurrence in connection.execute(_THERE, wanted):
                    taken[key] = max(taken.get(key, 0), occurrence + 1)
                connection.execute(
                    update(collectors).where(collectors.c.name == collector).values(standing=null())
                )
                connection.execute(
                    _MOVE,
                    [
                        {
                            "number": adoption.orphan.number,
                            "in_folder": folder_id,
                            "new_key": adoption.key,
                            "nth": taken.get(adoption.key, 0),
                            "becomes": adoption.state,
                            "now": now,
                        }
                        for adoption in part
                    ],
                )


def _others(connection: Connection, collector: str, listed: Sequence[Folder]) -> dict[int, Folder]:
    return {
        id_: folder
        for id_, folder in known_folders(connection, collector).items()
        if folder not in listed
    }


def _any_of(folder_id: int) -> Any:
    """Return a query for any orphan in one folder. One folder at a time is fast, because the index
    is in the order of folders."""
    may_be_there: ColumnElement[bool] = messages.c.deleted_at.is_(None) & messages.c.content.is_not(
        None
    )
    return select(messages.c.id).where(messages.c.folder_id == folder_id, may_be_there).limit(1)


def _counted(
    connection: Connection,
    statement: Select[str, int],
    where: Sequence[int],
    headers: Iterable[str],
) -> dict[str, int]:
    """Return how many messages in the folders `where` have each of these headers."""
    found: dict[str, int] = {}
    for part in chunks(set(headers)) if where else ():
        wanted = {"in_folders": where, "headers": part}
        found.update(connection.execute(statement, wanted).all())
    return found


def _orphans(
    connection: Connection, others: dict[int, Folder], headers: Sequence[str], content: str
) -> list[Orphan]:
    wanted = {
        "in_folders": list(others),
        "headers": headers,
        **({"content": content} if content else {}),
    }
    rows = connection.execute(_EQUAL if content else _FOUND, wanted).all() if others else []
    served: dict[int, set[str]] = {}
    for part in chunks(row.id for row in rows if row.state is not MessageState.COLLECTED):
        for number, recipient in connection.execute(_DELIVERED, {"ids": part}):
            served.setdefault(number, set()).add(recipient)
    return [
        Orphan(
            row.id,
            others[row.folder_id],
            Entry(
                row.key,
                row.state,
                row.occurrence,
                row.attempts,
                frozenset(served.get(row.id, ())),
                content=row.content,
                reason=row.reason,
            ),
            Fingerprint(row.header, row.content),
        )
        for row in rows
    ]
