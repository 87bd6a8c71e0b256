"""What `fsck` asks of the ledger: whether it is whole, and everything that it says was
delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import select

from reconciler.ledger.folder_records import cut
from reconciler.ledger.tables import collectors, deliveries, folders, messages
from reconciler.ledger.transactions import Transactions

_DELIVERED = (
    select(
        collectors.c.name.label("collector"),
        deliveries.c.recipient,
        deliveries.c.name,
        messages.c.size,
    )
    .join(messages, messages.c.id == deliveries.c.message_id)
    .join(folders, folders.c.id == messages.c.folder_id)
    .join(collectors, collectors.c.id == folders.c.collector_id)
    .order_by(collectors.c.name, deliveries.c.recipient)
)


class DeliveredCopy(NamedTuple):
    """One recipient's copy: `name` is the file's or the receiver's id of it, `size` in octets as
    delivered."""

    collector: str
    recipient: str
    name: str
    size: int


class LedgerAudit(Transactions):
    """Reads only."""

    def damage(self) -> list[str]:
        """What the database itself finds wrong with its file, in its words; nothing where it is
        whole."""
        with self.reading() as connection:
            if connection.dialect.name != "sqlite":
                return []
            found = [
                str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(100)")
            ]
            dangling = [
                f"a row of {row[0]} refers to a row of {row[2]} that is not there"
                for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
            ]
        return [line for line in found if line != "ok"] + dangling[:100]

    def delivered(self) -> Iterator[DeliveredCopy]:
        """Every copy that is remembered, of earlier epochs and retired collectors too; by collector
        and recipient."""
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(_DELIVERED)
            for row in rows:
                yield DeliveredCopy._make(row)

    def recorded(self, names: Sequence[str]) -> set[str]:
        """Which of these are names of copies that are remembered."""
        found: set[str] = set()
        with self.reading() as connection:
            for part in cut(names):
                found.update(
                    connection.execute(
                        select(deliveries.c.name).where(deliveries.c.name.in_(part))
                    ).scalars()
                )
        return found
