"""Statements for many rows are the ones that SQLAlchemy would make, and rows are split among
them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert, select

from reconciler.ledger.database_dialects import ManyRows
from reconciler.ledger.message_records import _DELIVERIES, _MESSAGES, _REMEMBERED
from reconciler.ledger.tables import leases


@contextmanager
def engine(url: str = "sqlite://") -> Iterator[Engine]:
    made = create_engine(url)
    try:
        yield made
    finally:
        made.dispose()


@pytest.mark.parametrize("statement", [_REMEMBERED, _MESSAGES, _DELIVERIES])
@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_a_text_for_many_rows_is_as_if_it_were_made_for_them(
    statement: ManyRows, rows: int
) -> None:
    with engine() as made, made.connect() as connection:
        assert statement._text(connection, rows) == statement._compiled(connection, rows)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 49, 50, 51, 173])
def test_every_row_is_written_once(tmp_path: Path, count: int) -> None:
    statement = ManyRows(
        lambda _, rows: insert(leases).values(
            [{"name": row("name"), "term": row("term")} for row in rows]
        ),
        ("name", "term"),
    )
    written = [(f"name {number}", number) for number in range(count)]
    with engine(f"sqlite:///{tmp_path}/rows") as made, made.begin() as connection:
        leases.create(connection)
        statement.run(connection, written)
        assert sorted(connection.execute(select(leases)).all(), key=lambda row: row.term) == written


def test_values_in_another_order_are_refused() -> None:
    statement = ManyRows(
        lambda _, rows: insert(leases).values(
            [{"name": row("name"), "term": row("term")} for row in rows]
        ),
        ("term", "name"),
    )
    with (
        engine() as made,
        made.connect() as connection,
        pytest.raises(TypeError, match="another order"),
    ):
        statement.run(connection, [(1, "a")])
