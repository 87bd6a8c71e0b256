"""File systems that mail was delivered to, so that a missing one is noticed (hazard D3)."""

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
"""How long a person's confirmation holds."""


class MountRecords(Transactions):
    """The mounts that mail of any collector went to: what one has learnt protects the others."""

    def mounts(self) -> Mapping[str, Mount]:
        """Return the remembered mounts by mount point."""
        with self.reading() as connection:
            rows = connection.execute(select(mounts.c.point, mounts.c.file_system)).all()
        return {
            point: convert({"point": point, **file_system}, Mount) for point, file_system in rows
        }

    def remember_mount(self, mount: Mount, instead: Sequence[str]) -> None:
        """Remember a mount, and forget those at the points `instead`."""
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
        """Accept the place of this collector's Maildirs for a day. Raises LedgerUnavailable where
        the collector is unknown."""
        with self.writing() as connection:
            changed = connection.execute(
                update(collectors)
                .where(collectors.c.name == collector)
                .values(maildirs_accepted_at=now)
            )
            if not changed.rowcount:
                raise self.unknown(collector)

    def maildirs_accepted(self, collector: str, now: datetime) -> bool:
        """Return whether `accept_maildirs` was called within a day before `now`."""
        with self.reading() as connection:
            at = connection.execute(
                select(collectors.c.maildirs_accepted_at).where(collectors.c.name == collector)
            ).scalar()
        return at is not None and at <= now < at + _ACCEPTED

    def delivered_last(self, collector: str, limit: int) -> Sequence[tuple[str, str]]:
        """Return recipient and name of each copy of the last `limit` messages, latest first."""
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
