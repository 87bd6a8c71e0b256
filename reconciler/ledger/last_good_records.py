"""The last good version of each manifest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from reconciler.ledger.database_dialects import upsert
from reconciler.ledger.tables import last_good
from reconciler.ledger.transactions import Transactions
from reconciler.model.history import LastGood


class LastGoodRecords(Transactions):
    """Implements the parts of `model.interfaces.Registry` about last good manifests."""

    def save_last_good(
        self, changed: Sequence[LastGood], gone: Sequence[tuple[str, str]], now: datetime
    ) -> None:
        """Insert or replace manifests; delete those that are gone, given by kind and name."""
        if not (changed or gone):
            return
        with self.writing() as connection:
            for kind, name in gone:
                connection.execute(
                    last_good.delete().where(last_good.c.kind == kind, last_good.c.name == name)
                )
            if changed:
                connection.execute(
                    upsert(connection, last_good, ("kind", "name"), _everything),
                    [
                        {
                            "kind": good.kind,
                            "name": good.name,
                            "file": good.file,
                            "line": good.line,
                            "base": good.base,
                            "text": good.text,
                            "at": now,
                        }
                        for good in changed
                    ],
                )

    def last_good(self) -> Sequence[LastGood]:
        """Return all of them, by kind and name."""
        columns = [column for column in last_good.c if column.name != "at"]
        with self.reading() as connection:
            return [
                LastGood(**row)
                for row in connection.execute(
                    select(*columns).order_by(last_good.c.kind, last_good.c.name)
                ).mappings()
            ]


def _everything(new: Any) -> dict[str, Any]:
    """Return the new values of all columns but the key."""
    return {column.name: new[column.name] for column in last_good.c if not column.primary_key}
