"""Transactions: many readers at once, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from reconciler.ledger.dialects import NOTES, WRITES
from reconciler.ledger.errors import plainly
from reconciler.model.errors import LedgerUnavailable


class Store:
    """`title` is how the ledger is called in errors."""

    def __init__(self, engine: Engine, title: str) -> None:
        self._engine = engine
        self._title = title
        self._writer = engine.execution_options(**{WRITES: True})
        self._noter = engine.execution_options(**{WRITES: True, NOTES: True})
        self._one_writer = threading.Lock()
        self._term: int | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger throughout."""
        with plainly(self._title), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends. Waiting for our own threads has no limit, for other
        programs `LOCK_WAIT`."""
        with plainly(self._title), self._one_writer, self._writer.begin() as connection:
            self._require_held(connection)
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """A transaction that a power cut may take back, until another one made the ledger durable; a process that is
        killed loses nothing. For what harms nobody when it is missing: a poll that finds nothing waits for no disk."""
        with plainly(self._title), self._one_writer, self._noter.begin() as connection:
            self._require_held(connection)
            yield connection

    def _require_held(self, connection: Connection) -> None:
        """Nothing is asked as long as no lease is taken."""

    def close(self) -> None:
        """Close every connection. The ledger is not to be used after."""
        with plainly(self._title):
            self._engine.dispose()

    def unknown(self, collector: str) -> LedgerUnavailable:
        return LedgerUnavailable(f"the ledger {self._title} does not know the collector {collector}: it was never "
                                 "declared, or was removed more than 30 days ago")
