"""Records whose messages bear other keys now, as the ledger finds and moves them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import event, func, select

from reconciler.ledger import SqlLedger
from reconciler.ledger.tables import deliveries, messages
from reconciler.model.history import AccountState
from reconciler.model.messages import Fingerprint, Folder
from reconciler.model.outcomes import Adoption, Entry, MessageState, Record
from tests.ledger.samples import (
    ACCOUNT,
    INBOX,
    MAILBOX,
    NOW,
    collected,
    declare,
    failed,
    fingerprint,
    parked,
)

MOVED = replace(INBOX, account=replace(ACCOUNT, host="moved.example.org"))
COLLECTED, PRESUMED = MessageState.COLLECTED, MessageState.PRESUMED


def headers(*texts: str) -> list[str]:
    return [fingerprint(text).header for text in texts]


def begun(key: str) -> Record:
    return replace(collected(key), state=MessageState.BEGUN, delivered=())


def listed(key: str, text: str) -> Record:
    return Record(
        key, MessageState.LISTED, 100, fingerprint=Fingerprint(fingerprint(text).header, "")
    )


def test_nothing_is_orphaned_in_a_folder_that_is_listed(ledger: SqlLedger) -> None:
    assert not ledger.orphaned("sales", [INBOX])
    ledger.record("sales", INBOX, [collected("1")], NOW)
    assert not ledger.orphaned("sales", [INBOX, MOVED])
    assert ledger.orphans("sales", [INBOX], headers("1")) == []


@pytest.mark.parametrize("other", [MOVED, replace(INBOX, validity=8), MAILBOX, INBOX.renumbered()])
def test_I9_P15_Y18_what_is_known_of_other_folders_is_found_by_header(
    ledger: SqlLedger, other: Folder
) -> None:
    ledger.record("sales", INBOX, [collected(str(key)) for key in range(600)], NOW)
    ledger.record(
        "sales", INBOX, [begun("b"), replace(failed("f", "a@x"), fingerprint=fingerprint("f"))], NOW
    )
    assert ledger.orphaned("sales", [other])

    found = ledger.orphans("sales", [other], headers("3", "f", "b", "never"))

    assert [(orphan.folder, orphan.fingerprint) for orphan in found] == [
        (INBOX, fingerprint("3")),
        (INBOX, fingerprint("b")),
        (INBOX, fingerprint("f")),
    ]
    assert [orphan.entry for orphan in found] == [
        Entry("3", COLLECTED, content=fingerprint("3").content),
        Entry("b", MessageState.BEGUN, content=fingerprint("b").content),
        Entry(
            "f",
            MessageState.FAILED,
            attempts=1,
            delivered=frozenset({"a@x"}),
            reason="451 later",
            content=fingerprint("f").content,
        ),
    ]
    assert len(ledger.orphans("sales", [other], headers(*map(str, range(600))))) == 600


def test_no_orphans_deleted_or_never_seen_or_of_another_collector_or_epoch(
    ledger: SqlLedger,
) -> None:
    declare(ledger, "info", "digest", "new-keep", NOW)
    ledger.record("info", INBOX, [collected("i")], NOW)
    ledger.record("sales", INBOX, [collected("d"), listed("l", "l"), parked("p"), failed("f")], NOW)
    ledger.record_deleted("sales", INBOX, ["d"], NOW)
    assert not ledger.orphaned("sales", [MOVED])
    assert ledger.orphans("sales", [MOVED], headers("i", "d", "l", "p", "f")) == []

    ledger.record("sales", INBOX, [collected("1")], NOW)
    assert ledger.orphaned("sales", [MOVED])
    ledger.clear("sales", NOW)
    assert not ledger.orphaned("sales", [MOVED])


def test_of_equal_headers_those_with_this_content_are_found(ledger: SqlLedger) -> None:
    one, other = fingerprint("1"), replace(fingerprint("1"), content=fingerprint("2").content)
    records = [
        replace(collected(key), fingerprint=print_) for key, print_ in (("1", one), ("2", other))
    ]
    ledger.record("sales", INBOX, records, NOW)
    found = ledger.orphans("sales", [MOVED], [one.header], other.content)
    assert [(orphan.entry.key, orphan.fingerprint) for orphan in found] == [("2", other)]
    assert len(ledger.orphans("sales", [MOVED], [one.header])) == 2
    assert ledger.orphans("sales", [INBOX], [one.header], other.content) == []
    assert ledger.orphans_with("sales", [MOVED], [one.header]) == {one.header: 2}
    assert ledger.orphans_with("sales", [INBOX], [one.header]) == {}


def test_an_adopted_record_goes_on_with_its_deliveries(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1", "a@x", "b@x"), collected("2")], NOW)
    [orphan] = ledger.orphans("sales", [MOVED], headers("1"))

    ledger.adopt("sales", MOVED, [Adoption(orphan, "70", PRESUMED)], NOW)

    assert list(ledger.known("sales", INBOX)) == ["2"]
    assert dict(ledger.known("sales", MOVED)) == {
        "70": Entry(
            "70", PRESUMED, content=fingerprint("1").content, delivered=frozenset({"a@x", "b@x"})
        )
    }
    assert ledger.orphans("sales", [MOVED], headers("1")) == []
    assert ledger.histories()["sales"].size == 2
    with ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(deliveries)).scalar() == 3


def test_what_is_adopted_may_need_another_look(ledger: SqlLedger) -> None:
    """An account in which nothing was left to do is not passed over any more."""
    ledger.record("sales", INBOX, [collected("1")], NOW)
    _, epoch = ledger.identity("sales")
    ledger.keep_account_state("sales", epoch, AccountState("state", "digest", NOW, 1, {}, 0))
    assert ledger.account_state("sales") is not None
    [orphan] = ledger.orphans("sales", [MOVED], headers("1"))
    ledger.adopt("sales", MOVED, [Adoption(orphan, "70", PRESUMED)], NOW)
    assert ledger.account_state("sales") is None


def test_many_are_adopted_in_one_commit(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected(str(key)) for key in range(1200)], NOW)
    orphans = ledger.orphans("sales", [MOVED], headers(*map(str, range(1200))))
    commits: list[object] = []
    event.listen(ledger._engine, "commit", commits.append)
    ledger.adopt(
        "sales",
        MOVED,
        [Adoption(orphan, f"n{orphan.entry.key}", COLLECTED) for orphan in orphans],
        NOW,
    )
    assert len(commits) == 1
    assert ledger.known("sales", MOVED).keys() == {f"n{key}" for key in range(1200)}
    assert not ledger.known("sales", INBOX)


@pytest.mark.parametrize("before", [listed("70", "1"), failed("70")])
def test_what_was_only_looked_at_or_tried_makes_room(ledger: SqlLedger, before: Record) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.record("sales", MOVED, [before], NOW)
    ledger.adopt(
        "sales",
        MOVED,
        [Adoption(ledger.orphans("sales", [MOVED], headers("1"))[0], "70", COLLECTED)],
        NOW,
    )
    assert dict(ledger.known("sales", MOVED)) == {"70": Entry("70", COLLECTED)}
    with ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(messages)).scalar() == 1


def test_a_key_that_stood_for_another_message_stands_for_one_more(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.record("sales", MAILBOX, [collected("u")], NOW)
    ledger.record_deleted("sales", MAILBOX, ["u"], NOW)
    ledger.adopt(
        "sales",
        MAILBOX,
        [Adoption(ledger.orphans("sales", [MAILBOX], headers("1"))[0], "u", COLLECTED)],
        NOW,
    )
    assert dict(ledger.known("sales", MAILBOX)) == {"u": Entry("u", COLLECTED, occurrence=1)}


def test_what_was_only_looked_at_is_not_remembered_as_history(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [listed("1", "1"), begun("2")], NOW)
    assert ledger.known("sales", INBOX)["1"] == Entry(
        "1", MessageState.LISTED, header=fingerprint("1").header
    )
    assert ledger.histories()["sales"].size == 1
    ledger.record("sales", INBOX, [collected("1"), collected("2")], NOW)
    assert ledger.histories()["sales"].size == 2
    assert dict(ledger.known("sales", INBOX)) == {
        "1": Entry("1", COLLECTED),
        "2": Entry("2", COLLECTED),
    }


def test_I11_P3_the_latest_numbering_of_a_folder_is_the_current_one(ledger: SqlLedger) -> None:
    assert ledger.current("sales", INBOX) == INBOX
    ledger.record("sales", INBOX.renumbered(), [collected("1")], NOW)
    ledger.record("sales", replace(INBOX, validity=9), [collected("1")], NOW)
    ledger.record("sales", INBOX, [collected("2")], NOW)
    assert ledger.current("sales", INBOX) == INBOX.renumbered() != INBOX
    assert ledger.current("sales", replace(INBOX, validity=9)) == replace(INBOX, validity=9)
    assert ledger.current("sales", MAILBOX) == MAILBOX
