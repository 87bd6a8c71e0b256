"""Opening the ledger, for as long as something is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.ledger import LedgerAbsent, SqlLedger, open_ledger
from reconciler.model.settings import Settings


@contextmanager
def own_ledger(settings: Settings) -> Iterator[SqlLedger]:
    """For the owner of the state."""
    ledger = open_ledger(settings.state_url)
    try:
        ledger.take()
        yield ledger
    finally:
        ledger.close()


@contextmanager
def ledger_if_any(settings: Settings) -> Iterator[SqlLedger | None]:
    """For reading; None where nothing has run yet."""
    try:
        ledger = open_ledger(settings.state_url, create=False)
    except LedgerAbsent:
        yield None
        return
    try:
        yield ledger
    finally:
        ledger.close()
