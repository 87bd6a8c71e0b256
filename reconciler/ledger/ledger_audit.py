"""What `fsck` asks the ledger: whether it is whole, and what was delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import select

from reconciler.ledger.folder_records import chunks
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
    """One recipient's copy of a message."""

    collector: str
    recipient: str
    name: str
    """Name of the file; by LMTP and SMTP the receiver's words, which may hold its id."""
    size: int
    """Octets as delivered."""


class LedgerAudit(Transactions):
    """Reads the whole ledger; changes nothing."""

    def damage(self) -> list[str]:
        """Return what the database finds wrong with its file, in its words; nothing where it is
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
        """Yield every copy that is recorded, by collector and recipient. Copies of earlier epochs
        and of retired collectors are among them."""
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(_DELIVERED)
            for row in rows:
                yield DeliveredCopy._make(row)

    def recorded(self, names: Sequence[str]) -> set[str]:
        """Return those of these names that copies in the ledger have."""
        found: set[str] = set()
        with self.reading() as connection:
            for part in chunks(names):
                found.update(
                    connection.execute(
                        select(deliveries.c.name).where(deliveries.c.name.in_(part))
                    ).scalars()
                )
        return found
