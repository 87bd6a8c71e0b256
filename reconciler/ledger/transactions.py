"""Transactions: many readers at once, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from reconciler.ledger.database_dialects import NOTES, WRITES
from reconciler.ledger.database_errors import translated_errors
from reconciler.ledger.write_ahead_log import WriteAheadLog
from reconciler.model.errors import LedgerUnavailable

_RECOVERY = {
    "cut": "what was recorded last is lost: stop it, restore the ledger from a backup or keep what "
    "is left of it, and start it again",
    "removed": "stop it with SIGTERM, which writes what it still holds into the ledger, and start "
    "it again",
}
"""Instructions for an administrator, by what happened to the log."""


class Transactions:
    """The transactions of one ledger."""

    def __init__(self, engine: Engine, title: str, file: Path | None = None) -> None:
        """`title` names the ledger in errors. `file` is its file; None where it is opened for
        reading."""
        self._engine = engine
        self._title = title
        self._file = file
        self._identity = self._found()
        self._writer = engine.execution_options(**{WRITES: True})
        self._noter = engine.execution_options(**{WRITES: True, NOTES: True})
        self._one_writer = threading.Lock()
        self._log = WriteAheadLog(file) if file is not None else None
        self._term: int | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a transaction that sees one state of the ledger throughout."""
        self._require_there()
        with translated_errors(self._title), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a transaction that is durable when the block ends. It waits for our own threads
        without limit, for other programs up to `LOCK_WAIT`."""
        self._require_there()
        with self._one_transaction(self._writer) as connection:
            yield connection

    @contextmanager
    def writing_unsynced(self) -> Iterator[Connection]:
        """Begin a transaction that does not wait for the disk.

        A power cut may take it back, until a later transaction of `writing` has made the ledger
        durable. A killed process loses nothing. For records that may be missing without harm, so
        that a session that finds no mail need not wait.
        """
        self._require_there()
        with self._one_transaction(self._noter) as connection:
            yield connection

    @contextmanager
    def _one_transaction(self, engine: Engine) -> Iterator[Connection]:
        with translated_errors(self._title), self._one_writer:
            self._require_log()
            with engine.begin() as connection:
                self._require_held(connection)
                yield connection
            if self._log is not None:
                self._log.remember()

    def require_whole(self) -> None:
        """Check that the ledger and its log are those that were opened, and whole. That costs a few
        system calls. Raises LedgerUnavailable."""
        self._require_there()
        with self._one_writer:
            self._require_log()

    def _require_log(self) -> None:
        """Check that nobody removed, replaced or cut the ledger's log (hazard R5)."""
        damage = self._log.damage() if self._log is not None else ""
        if damage and self._log is not None:
            raise LedgerUnavailable(
                f"the ledger's log {self._log.path} was {damage} while mailcollector runs: "
                f"nothing is collected any more; {_RECOVERY.get(damage, _RECOVERY['removed'])}"
            )

    def _require_held(self, connection: Connection) -> None:
        """Check the lease. Does nothing here: `Lease` overrides it."""

    def _require_there(self) -> None:
        """Check that the path still leads to the file that is open.

        If it was removed, moved or replaced, the open file still works, but later processes would
        not see its changes (hazard R5). Raises LedgerUnavailable.
        """
        if self._found() != self._identity:
            raise LedgerUnavailable(
                f"the ledger {self._title} was removed, moved or replaced while mailcollector "
                "runs: put it back; or start mailcollector anew, to go on with what is there now"
            )

    def _found(self) -> tuple[int, int] | None:
        """Return device and inode of the ledger's file; None where there is none."""
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LedgerUnavailable(
                f"the ledger {self._title} cannot be read: {error.strerror}; see the kernel's log"
            ) from error
        return found.st_dev, found.st_ino

    def size(self) -> int | None:
        """Return the octets of the ledger's file and of its log; None where that is no file."""
        if self._file is None:
            return None
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += self._file.with_name(self._file.name + suffix).stat().st_size
        return size or None

    def close(self) -> None:
        """Close all connections. The ledger cannot be used afterwards."""
        with translated_errors(self._title):
            if self._log is None:
                self._engine.dispose()
                return
            with self._log.kept_where_cut():
                self._engine.dispose()
            self._log.forget()

    def unknown(self, collector: str) -> LedgerUnavailable:
        """Return the error for a collector that is not in the ledger."""
        return LedgerUnavailable(
            f"the ledger {self._title} does not know the collector {collector}: it was never "
            "declared, or was removed more than 30 days ago"
        )
