"""Transactions: many readers at once, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from reconciler.ledger.database_dialects import NOTES, WRITES
from reconciler.ledger.database_errors import plainly
from reconciler.model.errors import LedgerUnavailable


class Transactions:
    """`title` is how the ledger is called in errors; `file`, where it is one that is written to."""

    def __init__(self, engine: Engine, title: str, file: Path | None = None) -> None:
        self._engine = engine
        self._title = title
        self._file = file
        self._identity = self._found()
        self._writer = engine.execution_options(**{WRITES: True})
        self._noter = engine.execution_options(**{WRITES: True, NOTES: True})
        self._one_writer = threading.Lock()
        self._term: int | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger throughout."""
        self._require_there()
        with plainly(self._title), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is durable when the block ends. Waiting for our own threads has no
        limit, for other programs `LOCK_WAIT`."""
        self._require_there()
        with plainly(self._title), self._one_writer, self._writer.begin() as connection:
            self._require_held(connection)
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """A transaction that a power cut may take back, until another one made the ledger durable;
        a process that is killed loses nothing. For what harms nobody when it is missing: a poll
        that finds nothing waits for no disk."""
        self._require_there()
        with plainly(self._title), self._one_writer, self._noter.begin() as connection:
            self._require_held(connection)
            yield connection

    def _require_held(self, connection: Connection) -> None:
        """Nothing is asked as long as no lease is taken."""

    def _require_there(self) -> None:
        """Who has a file open goes on with it when it is removed, moved, or another one takes its
        place; but nobody will ever read what is written there then (hazard R5)."""
        if self._found() != self._identity:
            raise LedgerUnavailable(
                f"the ledger {self._title} was removed, moved or replaced while mailcollector "
                "runs: put it back; or start mailcollector anew, to go on with what is there now"
            )

    def _found(self) -> tuple[int, int] | None:
        """Which file is there; None: none is."""
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LedgerUnavailable(
                f"the ledger {self._title} cannot be looked at: {error.strerror}; see the kernel's "
                "log"
            ) from error
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Close every connection. The ledger is not to be used after."""
        with plainly(self._title):
            self._engine.dispose()

    def unknown(self, collector: str) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"the ledger {self._title} does not know the collector {collector}: it was never "
            "declared, or was removed more than 30 days ago"
        )
