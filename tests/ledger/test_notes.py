"""Records that may wait for the disk, and which messages are told as failing."""

from __future__ import annotations

import pytest

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.model.errors import LeaseLost
from tests.ledger.samples import INBOX, NOW, collected, failed, parked, session


def test_R6_who_took_the_lease_before_notes_no_session_any_more(
    ledger: SqlLedger, url: str
) -> None:
    ledger.take()
    ledger.record_session("sales", session(1))
    other = open_ledger(url)
    other.take()
    with pytest.raises(LeaseLost):
        ledger.record_session("sales", session(2))
    other.record_session("sales", session(3))
    assert len(other.sessions("sales")) == 2
    other.close()


def test_failing_are_those_that_failed_for_a_reason(ledger: SqlLedger) -> None:
    records = [failed("1"), failed("2", reason=""), collected("3"), parked("4")]
    ledger.record("sales", INBOX, records, NOW)
    assert [(found.key, found.reason) for found in ledger.failing("sales")] == [("1", "451 later")]
    assert [found.key for found in ledger.parked("sales")] == ["4"]
    assert len(ledger.failing("sales", limit=0)) == 0
