"""Nothing but `dialects` knows which database it is: our statements compile for PostgreSQL, too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from reconciler.ledger.database_dialects import upsert
from reconciler.ledger.tables import deliveries, messages, metadata


def test_tables_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    tables = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [str(CreateIndex(index).compile(dialect=dialect)) for index in messages.indexes]

    assert len(tables) == 9
    assert "CREATE INDEX ix_messages_notable ON messages (folder_id)" in indexes


def test_what_is_just_collected_is_not_in_the_index_of_notable_messages() -> None:
    notable = next(index for index in messages.indexes if index.name == "ix_messages_notable")

    assert str(CreateIndex(notable).compile(dialect=sqlite.dialect())).endswith(
        "(folder_id) WHERE state != 0 OR deleted_at IS NOT NULL OR reason != ''"
    )


def test_upserts_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    connection: Any = SimpleNamespace(dialect=dialect)
    replace = upsert(
        connection, deliveries, ("message_id", "recipient"), lambda new: {"name": new.name}
    )
    keep = upsert(connection, deliveries, ("message_id", "recipient"))

    assert "ON CONFLICT (message_id, recipient) DO UPDATE SET name = excluded.name" in str(
        replace.compile(dialect=dialect)
    )
    assert "ON CONFLICT (message_id, recipient) DO NOTHING" in str(keep.compile(dialect=dialect))
