"""What was collected, delivered and deleted, and what the control loop keeps beside it: one SQL
database."""

from reconciler.ledger.errors import LedgerAbsent
from reconciler.ledger.opening import SqlLedger, open_ledger

__all__ = ["LedgerAbsent", "SqlLedger", "open_ledger"]
