"""What stands in the database's rows. Ledgers that exist hold such values, so they never change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from reconciler.ledger import SqlLedger
from reconciler.ledger.column_types import COUNTED, STATES, code
from reconciler.model.outcomes import MessageState
from tests.ledger.samples import INBOX, NOW, collected, fingerprint


def test_a_message_and_its_delivery_as_rows(ledger: SqlLedger, url: str) -> None:
    ledger.record("sales", INBOX, [collected("7", "a@x.test")], NOW)
    with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as connection:
        [row] = connection.execute("SELECT key, state, first_at, header FROM messages").fetchall()
        [at] = connection.execute("SELECT at FROM deliveries").fetchone()
    assert datetime(2026, 11, 22, 22, 40, 0, 123456, tzinfo=UTC) == NOW
    assert at == 1_795_387_200_123_456
    assert row == ("7", 0, at, bytes.fromhex(fingerprint("7").header))


def test_each_state_keeps_its_number() -> None:
    assert [code(state) for state in STATES] == list(range(len(STATES)))
    assert [str(state) for state in STATES] == [
        "collected",
        "failed",
        "parked",
        "begun",
        "presumed",
        "listed",
        "suspect",
        "unfetched",
        "paused",
    ]
    assert set(STATES) == set(MessageState)
    assert {str(state) for state in COUNTED} == {"failed", "unfetched", "paused"}
