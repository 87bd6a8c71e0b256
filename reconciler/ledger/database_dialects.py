"""Everything that one database engine does otherwise than another."""

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

from reconciler.ledger.database_errors import refused
from reconciler.model.errors import LedgerUnavailable

WRITES = "reconciler_writes"
"""Execution option: this transaction is going to write, so it takes the write lock when it
begins."""
NOTES = "reconciler_notes"
"""Execution option besides `WRITES`: durable with the next commit that is, so that it need not wait
for the disk."""
KEY = BigInteger().with_variant(Integer, "sqlite")
"""A surrogate key; SQLite numbers rows only where the type is INTEGER."""
COMPACT: dict[str, Any] = {"sqlite_with_rowid": False}
"""For tables whose primary key is not a surrogate: stored by it, not beside it."""
LOCK_WAIT = 10.0
"""Seconds to wait for another program's write before it counts as locked."""
_CONNECTIONS = 8
_WAL_KEPT = 64 << 20


def partial(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Arguments that make an Index cover only these rows. Those of a database that cannot be used
    yet are left out: naming them imports its dialect."""
    return {"sqlite_where": condition}


Changes = Callable[[Any], Mapping[str, Any]]
"""From the columns of the row that was to be inserted to what the existing row is to become."""


def upsert(
    connection: Connection, table: Table, key: Sequence[str], changes: Changes | None = None
) -> Any:
    """INSERT into `table`; where a row of this `key` exists already, change it, or leave it as it
    is (None)."""
    statement = importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(
        table
    )
    if changes is None:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=changes(statement.excluded))


Row = Callable[[str], BindParameter[Any]]
"""From a name to where this row's value of that name goes."""


class ManyRows:
    """A statement about many rows. Their values go to the driver as they are, many rows at a time:
    SQLAlchemy takes longer to look at each of them than the database to store it, and the
    interpreter would change hands for each row.
    """

    def __init__(
        self, make: Callable[[Connection, Sequence[Row]], ClauseElement], names: Sequence[str]
    ) -> None:
        """`make` gives the statement in the words of a connection's database. It must use the
        values of each row in the order of `names`."""
        self._make = make
        self._names = names
        self._parts: dict[str, tuple[str, str, str]] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """What it returns, where it does."""
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
        """The texts for one row and for two differ by what each further row adds, and stands
        between the others: SQLAlchemy takes tens of milliseconds for many rows."""
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
"""Rows of one statement: few sizes, so that the driver keeps them all prepared."""


def engine(url: URL, *, writable: bool = True, foreign_keys: bool = True) -> Engine:
    """Without `foreign_keys` tables can be made anew in a migration without emptying those that
    refer to them.

    Raises LedgerUnavailable for databases that this version cannot use.
    """
    if url.get_backend_name() != "sqlite":
        raise LedgerUnavailable(
            f"{refused(url)}: this version keeps its ledger in SQLite only; "
            "use --state sqlite:////path/to/ledger.sqlite3"
        )
    return _sqlite(file(url), writable, foreign_keys)


def file(url: URL) -> Path:
    """The database's file; LedgerUnavailable where the URL names none."""
    if not url.database or url.database == ":memory:":
        raise LedgerUnavailable(
            f"{refused(url)}: the ledger must be a file; "
            "use --state sqlite:////path/to/ledger.sqlite3"
        )
    return Path(url.database).absolute()


def _sqlite(path: Path, writable: bool, foreign_keys: bool) -> Engine:
    """Never makes the file: one that vanishes while we run is an error, not an empty ledger."""
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
        connection.isolation_level = (
            None  # sqlite3 begins no transactions of its own accord: `begin` does
        )
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(WRITES):
            # with NORMAL the WAL is written and not synced; the next commit with FULL syncs it as a
            # whole
            connection.exec_driver_sql(
                f"PRAGMA synchronous={'NORMAL' if options.get(NOTES) else 'FULL'}"
            )
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")

    return made
