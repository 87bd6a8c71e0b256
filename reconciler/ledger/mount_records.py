"""Which file systems mail was delivered to, so that one that is missing is noticed (hazard D3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import convert, to_builtins
from sqlalchemy import delete, select, update

from reconciler.ledger.database_dialects import upsert
from reconciler.ledger.tables import collectors, deliveries, folders, messages, mounts
from reconciler.ledger.transactions import Transactions
from reconciler.mounts import Mount

_ACCEPTED = timedelta(days=1)


class MountRecords(Transactions):
    """By mount point, of all collectors: what one has learnt protects the others."""

    def mounts(self) -> Mapping[str, Mount]:
        with self.reading() as connection:
            rows = connection.execute(select(mounts.c.point, mounts.c.file_system)).all()
        return {
            point: convert({"point": point, **file_system}, Mount) for point, file_system in rows
        }

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        """In place of those at the points `instead`."""
        file_system = to_builtins(mount)
        del file_system["point"]
        with self.writing() as connection:
            connection.execute(delete(mounts).where(mounts.c.point.in_(instead)))
            connection.execute(
                upsert(
                    connection, mounts, ("point",), lambda new: {"file_system": new.file_system}
                ),
                {"point": mount.point, "file_system": file_system},
            )

    def accept_maildirs(self, collector: str, now: datetime) -> None:
        """For a day, wherever this collector's Maildirs are is where they are meant to be."""
        with self.writing() as connection:
            changed = connection.execute(
                update(collectors)
                .where(collectors.c.name == collector)
                .values(maildirs_accepted_at=now)
            )
            if not changed.rowcount:
                raise self.unknown(collector)

    def maildirs_accepted(self, collector: str, now: datetime) -> bool:
        with self.reading() as connection:
            at = connection.execute(
                select(collectors.c.maildirs_accepted_at).where(collectors.c.name == collector)
            ).scalar()
        return at is not None and at <= now < at + _ACCEPTED

    def delivered_last(self, collector: str, limit: int) -> Sequence[tuple[str, str]]:
        """Recipients and names of copies of the messages that were recorded last, latest first."""
        latest = (
            select(messages.c.id)
            .join(folders, folders.c.id == messages.c.folder_id)
            .join(collectors, collectors.c.id == folders.c.collector_id)
            .where(collectors.c.name == collector)
            .order_by(messages.c.id.desc())
            .limit(limit)
        )
        with self.reading() as connection:
            rows = connection.execute(
                select(deliveries.c.recipient, deliveries.c.name)
                .where(deliveries.c.message_id.in_(latest))
                .order_by(deliveries.c.message_id.desc())
            ).all()
        return [(recipient, name) for recipient, name in rows]
