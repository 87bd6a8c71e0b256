"""The lease: only the process that took the ledger last may write to it (hazard R6).

The lock on the state directory keeps a second process out (`control.state_ownership`), where the
file system supports locks. Some that are shared by several machines do not. Then the second process
takes the lease, and the first one's sessions end before they record or delete anything.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from reconciler.ledger.database_dialects import upsert
from reconciler.ledger.tables import leases
from reconciler.ledger.transactions import Transactions
from reconciler.model.errors import LeaseLost

_ALL = "collectors"
_TERM = select(leases.c.term).where(leases.c.name == _ALL)


class Lease(Transactions):
    """The lease of this process. Nothing is checked until `take` is called.

    The number in the ledger grows with each `take`. A process whose number is not the current one
    has lost the lease.
    """

    def take(self) -> None:
        """Take the lease. From now on, every write and every `hold` of the process that had it
        raises LeaseLost."""
        with self.writing() as connection:
            connection.execute(
                upsert(connection, leases, ("name",), lambda _: {"term": leases.c.term + 1}),
                {"name": _ALL, "term": 1},
            )
            term: int = connection.execute(_TERM).scalar_one()
        self._term = term

    def hold(self) -> None:
        """Raise LeaseLost where another process has taken it since, and LedgerUnavailable where
        the ledger is not whole any more."""
        self.require_whole()
        with self.reading() as connection:
            self._require_held(connection)

    def _require_held(self, connection: Connection) -> None:
        if self._term is not None and connection.execute(_TERM).scalar() != self._term:
            raise LeaseLost(
                f"another mailcollector has taken the ledger {self._title}: this one does nothing "
                "any more; stop one of the two"
            )
