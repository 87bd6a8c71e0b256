"""Everything that one database engine does otherwise than another."""

from __future__ import annotations

import importlib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Engine, Integer, Select, Table, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.ledger.errors import refused
from reconciler.model.errors import LedgerUnavailable

WRITES = "reconciler_writes"
"""Execution option: this transaction is going to write, so it takes the write lock when it begins."""
NOTES = "reconciler_notes"
"""Execution option besides `WRITES`: durable with the next commit that is, so that it need not wait for the disk."""
KEY = BigInteger().with_variant(Integer, "sqlite")
"""A surrogate key; SQLite numbers rows only where the type is INTEGER."""
COMPACT: dict[str, Any] = {"sqlite_with_rowid": False}
"""For tables whose primary key is not a surrogate: stored by it, not beside it."""
LOCK_WAIT = 10.0
"""Seconds to wait for another program's write before it counts as locked."""
_CONNECTIONS = 8
_WAL_KEPT = 64 << 20


def partial(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Arguments that make an Index cover only these rows."""
    return {"sqlite_where": condition, "postgresql_where": condition}


Changes = Callable[[Any], Mapping[str, Any]]
"""From the columns of the row that was to be inserted to what the existing row is to become."""


def upsert(connection: Connection, table: Table, key: Sequence[str], changes: Changes | None = None,
           of: tuple[Sequence[str], Select[Any]] | None = None) -> Any:
    """INSERT into `table`, of values or of what a query finds for some columns; where a row of this `key` exists
    already, change it, or leave it as it is (None)."""
    statement = importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)
    if of is not None:
        statement = statement.from_select(*of)
    if changes is None:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=changes(statement.excluded))


class ManyRows:
    """A statement to be run for many rows at once. Their values go to the driver as they are, in the order of `names`:
    SQLAlchemy takes longer to look at each of them than the database to store it."""

    def __init__(self, make: Callable[[Connection], Any], names: Sequence[str]) -> None:
        """`make` gives the statement in the words of a connection's database."""
        self._make = make
        self._names = list(names)
        self._texts: dict[str, str] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        text = self._texts.get(connection.dialect.name) or self._text(connection)
        connection.exec_driver_sql(text, list(rows))

    def _text(self, connection: Connection) -> str:
        compiled = self._make(connection).compile(dialect=connection.dialect, column_keys=self._names)
        if compiled.positiontup != self._names:
            raise TypeError(f"the statement wants its values as {compiled.positiontup}")
        return self._texts.setdefault(connection.dialect.name, str(compiled))


def engine(url: URL, *, writable: bool = True, foreign_keys: bool = True) -> Engine:
    """Without `foreign_keys` tables can be made anew in a migration without emptying those that refer to them.

    Raises LedgerUnavailable for databases that this version cannot use.
    """
    if url.get_backend_name() != "sqlite":
        raise LedgerUnavailable(f"{refused(url)}: this version keeps its ledger in SQLite only; "
                                "use --state sqlite:////path/to/ledger.sqlite3")
    return _sqlite(file(url), writable, foreign_keys)


def file(url: URL) -> Path:
    """The database's file; LedgerUnavailable where the URL names none."""
    if not url.database or url.database == ":memory:":
        raise LedgerUnavailable(f"{refused(url)}: the ledger must be a file; "
                                "use --state sqlite:////path/to/ledger.sqlite3")
    return Path(url.database).absolute()


def _sqlite(path: Path, writable: bool, foreign_keys: bool) -> Engine:
    """Never makes the file: one that vanishes while we run is an error, not an empty ledger."""
    address = URL.create("sqlite", database=f"file:{urllib.parse.quote(str(path))}",
                         query={"mode": "rw" if writable else "ro", "uri": "true"})
    made = create_engine(address, pool_size=_CONNECTIONS, max_overflow=0, pool_use_lifo=True, hide_parameters=True,
                         connect_args={"timeout": LOCK_WAIT, "check_same_thread": False})
    pragmas = [f"foreign_keys={'ON' if foreign_keys else 'OFF'}"]
    if writable:
        # WAL with FULL keeps every commit over a power cut, with one fsync each (hazards.md, 1.9).
        pragmas += ["journal_mode=WAL", "synchronous=FULL", f"journal_size_limit={_WAL_KEPT}"]

    @event.listens_for(made, "connect")
    def configure(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3 begins no transactions of its own accord: `begin` does
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(WRITES):
            # with NORMAL the WAL is written and not synced; the next commit with FULL syncs it as a whole
            connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(NOTES) else 'FULL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")

    return made
