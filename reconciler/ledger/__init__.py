"""The ledger: a SQL database of what was collected, delivered and deleted. The control loop keeps
its own records there too."""

from reconciler.ledger.database_errors import LedgerAbsent
from reconciler.ledger.open_ledger import SqlLedger, open_ledger

__all__ = ["LedgerAbsent", "SqlLedger", "open_ledger"]
