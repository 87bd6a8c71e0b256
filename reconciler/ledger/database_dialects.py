"""Whatever differs from one database engine to another."""

from __future__ import annotations

import functools
import importlib
import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ClauseElement,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Table,
    bindparam,
    create_engine,
    event,
)
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler

from reconciler.ledger.database_errors import without_password
from reconciler.model.errors import LedgerUnavailable

WRITES = "reconciler_writes"
"""Execution option: this transaction writes, so it takes the write lock when it begins."""
NOTES = "reconciler_notes"
"""Execution option besides `WRITES`: the transaction does not wait for the disk. It becomes durable
with the next commit that does."""
KEY = BigInteger().with_variant(Integer, "sqlite")
"""Type of a surrogate key. SQLite numbers rows only where the type is INTEGER."""
COMPACT: dict[str, Any] = {"sqlite_with_rowid": False}
"""Options of a table without a surrogate key: its rows are stored in the primary key's index."""
LOCK_WAIT = 10.0
"""Seconds to wait for another program's write before the ledger counts as locked."""
_CONNECTIONS = 8
"""Connections that are open at once at most."""
_WAL_KEPT = 64 << 20
"""Octets that the file of the WAL is cut back to after it was larger."""


def partial(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Return arguments that make an Index cover only the rows with this condition. Only SQLite's
    are given: to name those of another database imports its dialect."""
    return {"sqlite_where": condition}


Changes = Callable[[Any], Mapping[str, Any]]
"""Takes the columns of the row to insert; returns the new values of the existing row."""


def upsert(
    connection: Connection, table: Table, key: Sequence[str], changes: Changes | None = None
) -> Any:
    """Return an INSERT into `table`. Where a row with this `key` exists, it is changed, or left as
    it is (`changes` is None)."""
    statement = importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(
        table
    )
    if changes is None:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=changes(statement.excluded))


Row = Callable[[str], BindParameter[Any]]
"""Takes a column's name; returns the parameter for this row's value of it."""


class ManyRows:
    """A statement about many rows, whose values go to the driver unchanged, many rows at a time.

    SQLAlchemy would take longer to process each row than the database takes to store it. Besides,
    one call for each row would let other threads in between.
    """

    def __init__(
        self, make: Callable[[Connection, Sequence[Row]], ClauseElement], names: Sequence[str]
    ) -> None:
        """`make` returns the statement for a connection's database. It must use the values of each
        row in the order of `names`."""
        self._make = make
        self._names = names
        self._parts: dict[str, tuple[str, str, str]] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Execute it for all rows; return the rows that it returns, if any."""
        found: list[tuple[Any, ...]] = []
        start = 0
        for size in _AT_ONCE:
            while len(rows) - start >= size:
                values = tuple(chain.from_iterable(rows[start : start + size]))
                result = connection.exec_driver_sql(self._text(connection, size), values)
                if result.returns_rows:
                    found.extend(map(tuple, result.all()))
                start += size
        return found

    def _text(self, connection: Connection, size: int) -> str:
        begin, further, end = self._parts.get(connection.dialect.name) or self._taken_apart(
            connection
        )
        return begin + further * (size - 1) + end

    def _taken_apart(self, connection: Connection) -> tuple[str, str, str]:
        """Return the statement's text as three parts: before, for each further row, and after.

        To compile it for many rows takes tens of milliseconds. So the statement is compiled for one
        row and for two. The difference of both texts is the text of a further row.
        """
        one, two = self._compiled(connection, 1), self._compiled(connection, 2)
        same = next(
            place for place, (this, that) in enumerate(zip_longest(one, two)) if this != that
        )
        parts = one[:same], two[same : same + len(two) - len(one)], one[same:]
        return self._parts.setdefault(connection.dialect.name, parts)

    def _compiled(self, connection: Connection, size: int) -> str:
        rows = [functools.partial(_marked, number) for number in range(size)]
        compiled = self._make(connection, rows).compile(dialect=connection.dialect)
        wanted = [f"{name}_{number}" for number in range(size) for name in self._names]
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup != wanted:
            raise TypeError("the statement takes its values in another order")
        return str(compiled)


def _marked(number: int, name: str) -> BindParameter[Any]:
    return bindparam(f"{name}_{number}")


_AT_ONCE = (50, 10, 1)
"""Rows in one statement. Few sizes, so that the driver keeps all of them prepared."""


def engine(url: URL, *, writable: bool = True, foreign_keys: bool = True) -> Engine:
    """Return an engine for the ledger at `url`.

    Without `foreign_keys` a migration can replace a table without emptying those that refer to it.
    Raises LedgerUnavailable for databases that this version cannot use.
    """
    if url.get_backend_name() != "sqlite":
        raise LedgerUnavailable(
            f"{without_password(url)}: this version keeps its ledger in SQLite only; "
            "use --state sqlite:////path/to/ledger.sqlite3"
        )
    return _sqlite(file(url), writable, foreign_keys)


def file(url: URL) -> Path:
    """Return the database's file. Raises LedgerUnavailable where the URL names none."""
    if not url.database or url.database == ":memory:":
        raise LedgerUnavailable(
            f"{without_password(url)}: the ledger must be a file; "
            "use --state sqlite:////path/to/ledger.sqlite3"
        )
    return Path(url.database).absolute()


def _sqlite(path: Path, writable: bool, foreign_keys: bool) -> Engine:
    """Return an engine that never makes the file. A file that vanishes while we run is an error,
    not an empty ledger."""
    address = URL.create(
        "sqlite",
        database=f"file:{urllib.parse.quote(os.fsencode(path))}",
        query={"mode": "rw" if writable else "ro", "uri": "true"},
    )
    made = create_engine(
        address,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"timeout": LOCK_WAIT, "check_same_thread": False},
    )
    pragmas = [f"foreign_keys={'ON' if foreign_keys else 'OFF'}"]
    if writable:
        # WAL with FULL keeps every commit over a power cut, with one fsync each (hazard L9).
        pragmas += ["journal_mode=WAL", "synchronous=FULL", f"journal_size_limit={_WAL_KEPT}"]

    @event.listens_for(made, "connect")
    def configure(connection: Any, _: ConnectionPoolEntry) -> None:
        # Python's sqlite3 must begin no transactions by itself: `begin` below does.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(WRITES):
            # With NORMAL a commit writes the WAL without syncing it. The next commit with FULL
            # syncs all of it.
            connection.exec_driver_sql(
                f"PRAGMA synchronous={'NORMAL' if options.get(NOTES) else 'FULL'}"
            )
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")

    return made
