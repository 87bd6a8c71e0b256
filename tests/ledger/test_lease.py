"""One process writes: the one that took the lease last."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.app.adapters import own_ledger
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.model.errors import LeaseLost
from reconciler.model.settings import Settings
from tests.ledger.samples import INBOX, NOW, collected


def test_R6_who_took_the_lease_before_writes_nothing_any_more(ledger: SqlLedger, url: str) -> None:
    ledger.take()
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.hold()
    other = open_ledger(url)
    ledger.record("sales", INBOX, [collected("2")], NOW)  # it was opened, not taken
    other.take()
    with pytest.raises(
        LeaseLost, match=r"another mailcollector has taken the ledger .*stop one of the two"
    ):
        ledger.record("sales", INBOX, [collected("3")], NOW)
    with pytest.raises(LeaseLost):
        ledger.hold()
    assert other.known("sales", INBOX).keys() == {"1", "2"}
    other.record("sales", INBOX, [collected("3")], NOW)
    other.hold()
    other.close()


def test_a_process_that_takes_it_twice_has_it(ledger: SqlLedger) -> None:
    ledger.take()
    ledger.take()
    ledger.hold()


def test_R6_who_owns_the_state_takes_it_from_the_owner_before(url: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, state_url=url)
    with own_ledger(settings) as first, own_ledger(settings) as second:
        second.hold()
        with pytest.raises(LeaseLost):
            first.hold()
