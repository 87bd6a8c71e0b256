"""A history that goes on under another name."""

from __future__ import annotations

from reconciler.ledger import SqlLedger
from tests.ledger.samples import DAY, INBOX, NOW, collected, declare


def test_everything_goes_along_and_keeps_its_identity(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    assert list(ledger.rename({"sales": "orders"})) == ["sales"]
    assert list(ledger.known("orders", INBOX)) == ["1"]
    assert ledger.identity("orders") == ("sales", 1)
    assert list(ledger.histories()) == ["orders"]
    assert list(ledger.rename({"sales": "orders"})) == [
        "sales"
    ]  # a crash before the rest was recorded
    assert list(ledger.rename({"orders": "sales"})) == ["orders"]  # git revert
    assert ledger.identity("sales") == ("sales", 1)
    assert ledger.histories(["sales"])["sales"].size == 1


def test_two_collectors_never_deliver_under_the_same_identity(ledger: SqlLedger) -> None:
    ledger.rename({"sales": "orders"})
    declare(ledger, "sales", "digest", "new-keep", NOW)
    assert ledger.identity("sales") != ledger.identity("orders")
    assert not ledger.known("sales", INBOX)


def test_a_retired_history_under_the_new_name_stays(ledger: SqlLedger) -> None:
    declare(ledger, "orders", "digest", "new-keep", NOW)
    for name, key in (("sales", "1"), ("orders", "2")):
        ledger.record(name, INBOX, [collected(key)], NOW)
    assert not ledger.rename({"sales": "orders"})  # it is declared
    ledger.retire("orders", NOW)
    assert not ledger.rename({"sales": "orders"})
    declare(ledger, "orders", "digest", "new-keep", NOW + DAY)
    assert list(ledger.known("orders", INBOX)) == ["2"]


def test_an_empty_retired_one_makes_room_and_a_retired_one_can_go_on(ledger: SqlLedger) -> None:
    declare(ledger, "orders", "digest", "new-keep", NOW)
    ledger.record("sales", INBOX, [collected("1")], NOW)
    for name in ("orders", "sales"):
        ledger.retire(name, NOW)
    assert list(ledger.rename({"sales": "orders"})) == ["sales"]
    assert list(ledger.histories()) == ["orders"]


def test_a_collector_that_is_declared_makes_no_room_for_another(ledger: SqlLedger) -> None:
    """Even where it has collected nothing yet."""
    declare(ledger, "info", "digest", "new-keep", NOW)
    assert not ledger.rename({"sales": "info"})
    assert ledger.histories().keys() >= {"sales", "info"}
