"""What was collected, delivered and deleted, and what the control loop keeps beside it: one SQL
database."""

from reconciler.ledger.database_errors import LedgerAbsent
from reconciler.ledger.open_ledger import SqlLedger, open_ledger

__all__ = ["LedgerAbsent", "SqlLedger", "open_ledger"]
