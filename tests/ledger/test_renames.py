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


def test_names_are_exchanged_once_whatever_crash_comes_behind(ledger: SqlLedger) -> None:
    digests = {name: f"digest of {name}" for name in ("a", "b")}
    for name, digest in digests.items():
        declare(ledger, name, digest, "new-keep", NOW)
        ledger.record(name, INBOX, [collected(f"of {name}")], NOW)
    for _ in range(2):  # before the new manifests are recorded
        assert sorted(ledger.rename({"a": "b", "b": "a"}, digests)) == ["a", "b"]
        assert [list(ledger.known(name, INBOX)) for name in "ab"] == [["of b"], ["of a"]]
    assert [ledger.identity(name) for name in "ab"] == [("b", 1), ("a", 1)]
    for old, new in ("ab", "ba"):  # as it is declared under its new name
        declare(ledger, new, f"another digest of {old}", "new-keep", NOW)
    assert sorted(ledger.rename({"a": "b", "b": "a"}, digests)) == ["a", "b"]
    assert [list(ledger.known(name, INBOX)) for name in "ab"] == [["of b"], ["of a"]]


def test_each_takes_the_name_of_the_next(ledger: SqlLedger) -> None:
    names = {"a": "b", "b": "c"}
    digests = {name: f"digest of {name}" for name in names}
    for name, digest in digests.items():
        declare(ledger, name, digest, "new-keep", NOW)
        ledger.record(name, INBOX, [collected(f"of {name}")], NOW)
    for _ in range(2):
        assert sorted(ledger.rename(names, digests)) == ["a", "b"]
        assert [list(ledger.known(name, INBOX)) for name in "bc"] == [["of a"], ["of b"]]


def test_nobody_takes_a_name_whose_collector_keeps_it(ledger: SqlLedger) -> None:
    for name in ("a", "b", "c"):
        declare(ledger, name, name, "new-keep", NOW)
        ledger.record(name, INBOX, [collected(f"of {name}")], NOW)
    assert not ledger.rename({"a": "b", "b": "c"}, {"a": "a", "b": "b"})
    assert [list(ledger.known(name, INBOX)) for name in "abc"] == [["of a"], ["of b"], ["of c"]]
