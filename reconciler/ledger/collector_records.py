"""Collectors: their declarations, totals and back-offs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, null, select, update

from reconciler.ledger.folder_records import chunks
from reconciler.ledger.session_records import kept_alerts, report
from reconciler.ledger.tables import collectors, sessions
from reconciler.ledger.transactions import Transactions
from reconciler.model.history import (
    DeclaredCollector,
    Declaring,
    History,
    Retry,
)
from reconciler.model.outcomes import Totals

_DECLARED = select(
    collectors.c.id,
    collectors.c.name,
    collectors.c.generation,
    collectors.c.digest,
    collectors.c.mode,
    collectors.c.epoch,
    collectors.c.retired_at,
)
_NEW = {
    "generation": 1,
    "epoch": 1,
    "remembered": 0,
    "sessions": 0,
    "collected": 0,
    "failed": 0,
    "deleted": 0,
    "bytes": 0,
}
_HISTORIES = select(
    collectors, *(column.label(f"session_{column.name}") for column in sessions.c)
).outerjoin(
    sessions,
    (sessions.c.collector_id == collectors.c.id) & (sessions.c.number == collectors.c.sessions),
)


class CollectorRecords(Transactions):
    """Implements the parts of `model.interfaces.Registry` about collectors."""

    def declare_all(
        self, declaring: Sequence[Declaring], now: datetime
    ) -> Mapping[str, DeclaredCollector]:
        """Declare these collectors. Writes nothing where nothing is new."""
        with self.reading() as connection:
            known = _find(connection, (one.name for one in declaring))
        if all(_unchanged(known.get(one.name), one) for one in declaring):
            return {
                name: DeclaredCollector(name, found.generation, found.epoch)
                for name, found in known.items()
            }
        with self.writing() as connection:
            known = _find(connection, (one.name for one in declaring))
            new = [one for one in declaring if one.name not in known]
            if new:
                connection.execute(
                    insert(collectors),
                    [
                        {
                            "name": one.name,
                            "digest": one.digest,
                            "mode": one.mode,
                            "declared_at": now,
                            **_NEW,
                        }
                        for one in new
                    ],
                )
                _distinguish(connection, [one.name for one in new])
            return {
                one.name: _declare(connection, known.get(one.name), one, now) for one in declaring
            }

    def rename(
        self, names: Mapping[str, str], declared: Mapping[str, str] | None = None
    ) -> Collection[str]:
        """Rename collectors; return the old names of those that were renamed, now or before a
        crash.

        A retired collector without messages is deleted where its name is needed.
        """
        with self.writing() as connection:
            there = _occupied(connection, [*names, *names.values()])
            done = _renamed_before(names, there, declared or {})
            moving = _movable({old: names[old] for old in names if old not in done}, there)
            for old in moving:  # away first, for names may be exchanged
                _set(connection, there[old].id, name=f"{old}/{there[old].id}")
            for old, new in moving.items():
                if new in there and new not in moving:
                    connection.execute(delete(collectors).where(collectors.c.id == there[new].id))
                first = there[old].first_name or old
                _set(connection, there[old].id, name=new, first_name=first, retired_at=None)
        return [*done, *moving]

    def retire(self, name: str, now: datetime) -> None:
        """Mark a collector as no longer declared. `expire` deletes it after 30 days."""
        with self.writing() as connection:
            connection.execute(
                update(collectors)
                .values(retired_at=now, retired_for=0)
                .where(collectors.c.name == name, collectors.c.retired_at.is_(None))
            )

    def clear(self, name: str, now: datetime) -> DeclaredCollector:  # noqa: ARG002
        """Begin a new epoch. `expire` deletes the messages of the old one."""
        with self.writing() as connection:
            found = connection.execute(
                update(collectors)
                .where(collectors.c.name == name)
                .values(epoch=collectors.c.epoch + 1, remembered=0, standing=null())
                .returning(collectors.c.generation, collectors.c.epoch)
            ).one_or_none()
            if found is None:
                raise self.unknown(name)
            return DeclaredCollector(name, found.generation, found.epoch)

    def histories(self, names: Iterable[str] | None = None) -> Mapping[str, History]:
        """Return the histories of collectors by name: of all declared ones, or of those named.

        Retired collectors are found only by name. Unknown names are left out.
        """
        with self.reading() as connection:
            return {row["name"]: _history(row) for row in _rows(connection, names)}

    def save_retry(self, name: str, retry: Retry | None) -> None:
        """Keep a collector's back-off; None ends it."""
        with self.writing() as connection:
            connection.execute(
                update(collectors)
                .where(collectors.c.name == name)
                .values(
                    retry_reason=retry and retry.reason,
                    retry_message=retry and retry.message,
                    retry_failures=retry and retry.failures,
                    retry_at=retry and retry.next_attempt,
                    retry_digest=retry and retry.digest,
                    retry_stamp=retry and retry.stamp,
                    retry_asked=retry and retry.asked,
                )
            )


def _find(connection: Connection, names: Iterable[str]) -> dict[str, Any]:
    """Return the declarations of the collectors that have these names."""
    return {
        row.name: row
        for part in chunks(names)
        for row in connection.execute(_DECLARED.where(collectors.c.name.in_(part)))
    }


def _occupied(connection: Connection, names: Iterable[str]) -> dict[str, Any]:
    """Return the collectors that have these names, retired ones too."""
    return {
        row.name: row
        for part in chunks(names)
        for row in connection.execute(
            select(
                collectors.c.id,
                collectors.c.name,
                collectors.c.digest,
                collectors.c.first_name,
                collectors.c.retired_at,
                collectors.c.remembered,
            ).where(collectors.c.name.in_(part))
        )
    }


def _renamed_before(
    names: Mapping[str, str], there: Mapping[str, Any], declared: Mapping[str, str]
) -> list[str]:
    """Return the old names whose collectors have their new ones already, since before a crash."""
    return [
        old
        for old, new in names.items()
        if new in there
        and (old not in there or (old in declared and there[old].digest != declared[old]))
    ]


def _movable(names: Mapping[str, str], there: Mapping[str, Any]) -> dict[str, str]:
    """Return those that can be renamed: the new name is free, or its collector is renamed, too."""
    moving = {old: new for old, new in names.items() if old in there}
    while refused := [
        old
        for old, new in moving.items()
        if new in there
        and new not in moving
        and (there[new].retired_at is None or there[new].remembered)
    ]:
        for old in refused:
            del moving[old]
    return moving


def _set(connection: Connection, number: int, **values: Any) -> None:
    connection.execute(update(collectors).where(collectors.c.id == number).values(**values))


def _distinguish(connection: Connection, new: Iterable[str]) -> None:
    """Give new collectors a `first_name` of their own where a renamed collector had their name
    first. The names of deliveries are made from it, and must differ."""
    for part in chunks(new):
        had = select(collectors.c.first_name).where(collectors.c.first_name.in_(part))
        for row in connection.execute(
            select(collectors.c.id, collectors.c.name).where(
                collectors.c.name.in_(part), collectors.c.name.in_(had)
            )
        ).all():
            connection.execute(
                update(collectors)
                .where(collectors.c.id == row.id)
                .values(first_name=f"{row.name}/{row.id}")
            )


def _unchanged(found: Any, one: Declaring) -> bool:
    return found is not None and (found.digest, found.mode, found.retired_at) == (
        one.digest,
        one.mode,
        None,
    )


def _declare(
    connection: Connection, found: Any, one: Declaring, now: datetime
) -> DeclaredCollector:
    """Update a collector's row. `found` is None for a row that was inserted just now."""
    name, digest, mode = one.name, one.digest, one.mode
    if found is None:
        return DeclaredCollector(name, 1, 1)
    if _unchanged(found, one):
        return DeclaredCollector(name, found.generation, found.epoch)
    changes: dict[str, Any] = {
        "digest": digest,
        "mode": mode,
        "retired_at": None,
        "standing": null(),
        "generation": found.generation + (found.digest != digest),
        "epoch": found.epoch,
    }
    if found.retired_at is not None:
        changes["declared_at"] = now
    if mode == "all-delete" != found.mode:
        changes |= {"epoch": found.epoch + 1, "remembered": 0}
    connection.execute(update(collectors).where(collectors.c.id == found.id).values(**changes))
    return DeclaredCollector(name, changes["generation"], changes["epoch"])


def _rows(connection: Connection, names: Iterable[str] | None) -> Iterator[RowMapping]:
    if names is None:
        declared = _HISTORIES.where(collectors.c.retired_at.is_(None)).order_by(collectors.c.name)
        yield from connection.execute(declared).mappings()
        return
    for part in chunks(names):
        yield from connection.execute(_HISTORIES.where(collectors.c.name.in_(part))).mappings()


def _history(row: RowMapping) -> History:
    last = None
    if row["session_number"] is not None:
        last = report({column.name: row[f"session_{column.name}"] for column in sessions.c})
    totals = Totals(row["sessions"], row["collected"], row["failed"], row["deleted"], row["bytes"])
    return History(
        DeclaredCollector(row["name"], row["generation"], row["epoch"]),
        totals,
        last,
        _retry(row),
        row["remembered"],
        kept_alerts(row["alerts"]),
    )


def _retry(row: RowMapping) -> Retry | None:
    if row["retry_reason"] is None:
        return None
    return Retry(
        row["retry_reason"],
        row["retry_message"],
        row["retry_failures"],
        row["retry_at"],
        row["retry_digest"],
        row["retry_stamp"],
        row["retry_asked"],
    )
