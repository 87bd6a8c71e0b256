"""What is recorded of messages, and that it is found again only where it is meant."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.tables import deliveries, folders, messages
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.interfaces import Entries
from reconciler.model.messages import Folder
from reconciler.model.outcomes import Entry, MessageState, Record
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

COLLECTED = MessageState.COLLECTED


def test_nothing_is_known_at_first(ledger: SqlLedger) -> None:
    assert ledger.known("sales", INBOX) == {}
    assert ledger.identity("sales") == ("sales", 1)


def test_what_is_recorded_is_known(ledger: SqlLedger, url: str) -> None:
    ledger.record("sales", INBOX, [collected("1"), failed("2", "a@x"), parked("3")], NOW)
    ledger.close()

    with closing(open_ledger(url)) as again:
        known = again.known("sales", INBOX)

        assert dict(known) == {
            "1": Entry("1", COLLECTED),
            "2": Entry(
                "2",
                MessageState.FAILED,
                attempts=1,
                delivered=frozenset({"a@x"}),
                reason="451 later",
            ),
            "3": Entry("3", MessageState.PARKED, reason="unknown-mailbox"),
        }
        assert "1" in known
        assert "4" not in known
        assert known.get("4") is None


def test_some_are_known_as_all_are(ledger: SqlLedger) -> None:
    """Whether the folder is read as a whole or by blocks of keys."""
    ledger.record(
        "sales",
        INBOX,
        [
            *map(collected, "1234"),
            replace(collected("5"), reason="sizes differ"),
            replace(collected("6"), state=MessageState.PRESUMED),
            failed("7", "a@x", "b@x"),
            parked("8"),
            collected("9", occurrence=1),
            replace(failed("9"), occurrence=2),
            replace(failed("10"), occurrence=0),
            collected("10", occurrence=1),
        ],
        NOW,
    )
    ledger.record_deleted("sales", INBOX, ["4"], NOW)
    known = ledger.known("sales", INBOX)
    assert isinstance(known, Entries)
    keys = [str(key) for key in range(1, 12)]
    assert _without_deliveries(known.of(keys)) == _without_deliveries(known)
    assert known["5"].reason == "sizes differ"
    assert [known[key].occurrence for key in ("9", "10")] == [2, 1]


def test_the_latest_of_a_key_counts_in_whatever_order_the_database_gives_rows(
    ledger: SqlLedger,
) -> None:
    ledger.record(
        "sales",
        INBOX,
        [
            *(collected("1", occurrence=nth) for nth in range(3)),
            *(replace(failed("2"), occurrence=nth) for nth in range(3)),
        ],
        NOW,
    )
    with ledger.reading() as connection:
        connection.exec_driver_sql("PRAGMA reverse_unordered_selects = ON")
    known = ledger.known("sales", INBOX)
    assert isinstance(known, Entries)
    for found in (known.of(["1", "2"]), known):
        assert {key: found[key].occurrence for key in found} == {"1": 2, "2": 2}


def test_whether_anything_may_be_left_on_the_server(ledger: SqlLedger) -> None:
    """What was only seen in a listing does not count, nor does what has no content for the number
    of messages."""

    def left() -> tuple[bool, bool, bool]:
        known = ledger.known("sales", INBOX)
        assert isinstance(known, Entries)
        return known.any_on_server(), known.more_on_server_than(0), known.more_on_server_than(1)

    ledger.record("sales", INBOX, [Record("1", MessageState.LISTED, 100)], NOW)
    assert left() == (False, False, False)
    ledger.record("sales", INBOX, [parked("2")], NOW)
    assert left() == (True, False, False)
    ledger.record("sales", INBOX, [collected("3")], NOW)
    assert left() == (True, True, False)
    ledger.record("sales", INBOX, [collected("4")], NOW)
    assert left() == (True, True, True)
    ledger.record_deleted("sales", INBOX, ["2", "3"], NOW)
    assert left() == (True, True, False)
    ledger.record_deleted("sales", INBOX, ["4"], NOW)
    assert left() == (False, False, False)


def test_a_message_counts_once_and_only_after_more_than_its_headers_are_known(
    ledger: SqlLedger,
) -> None:
    def size() -> int:
        return ledger.histories(["sales"])["sales"].size

    ledger.record("sales", INBOX, [Record("1", MessageState.LISTED, 100)], NOW)
    assert size() == 0
    for _ in range(2):
        ledger.record("sales", INBOX, [collected("1")], NOW)
        assert size() == 1


def _without_deliveries(known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Of what everybody has; nobody asks for them."""
    return {
        key: replace(entry, delivered=frozenset()) if entry.state is COLLECTED else entry
        for key, entry in known.items()
    }


def test_recording_nothing_is_no_transaction(ledger: SqlLedger) -> None:
    ledger.record("never declared", INBOX, [], NOW)


def test_attempts_of_failed_ones_add_up_and_recipients_stay(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [failed("1", "a@x")], NOW)
    ledger.record("sales", INBOX, [failed("1", "b@x", reason="452 full")], NOW)

    assert ledger.known("sales", INBOX)["1"] == Entry(
        "1", MessageState.FAILED, attempts=2, delivered=frozenset({"a@x", "b@x"}), reason="452 full"
    )

    ledger.record("sales", INBOX, [collected("1", "c@x")], NOW)
    assert ledger.known("sales", INBOX)["1"] == Entry("1", COLLECTED)
    assert ledger.histories()["sales"].size == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(INBOX, validity=8),
        replace(INBOX, name="Inbox"),
        replace(INBOX, account=replace(ACCOUNT, host="imap.example.com")),
        replace(INBOX, account=replace(ACCOUNT, port=143)),
        replace(INBOX, account=replace(ACCOUNT, username="Sales@example.org")),
        replace(INBOX, account=replace(ACCOUNT, protocol="pop3")),
    ],
)
def test_I9_Y18_known_only_in_the_same_account_folder_and_validity(
    ledger: SqlLedger, other: Folder
) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)

    assert ledger.known("sales", other) == {}


def test_collectors_do_not_see_each_other(ledger: SqlLedger) -> None:
    declare(ledger, "info", "digest", "new-keep", NOW)
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.record("info", INBOX, [collected("2")], NOW)

    assert list(ledger.known("sales", INBOX)) == ["1"]
    assert list(ledger.known("info", INBOX)) == ["2"]


def test_P2_the_latest_occurrence_of_a_key_counts(ledger: SqlLedger) -> None:
    ledger.record("sales", MAILBOX, [collected("u")], NOW)
    ledger.record_deleted("sales", MAILBOX, ["u"], NOW)
    assert ledger.known("sales", MAILBOX)["u"] == Entry(
        "u", COLLECTED, deleted=True, content=fingerprint("u").content
    )

    ledger.record("sales", MAILBOX, [collected("u", occurrence=1)], NOW)

    assert ledger.known("sales", MAILBOX)["u"] == Entry("u", COLLECTED, occurrence=1)
    assert ledger.histories()["sales"].size == 2

    ledger.record("sales", MAILBOX, [replace(failed("u"), occurrence=2)], NOW)
    assert ledger.known("sales", MAILBOX)["u"].occurrence == 2


def test_deletion_is_recorded_once_and_only_where_it_was(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected(str(key)) for key in range(1200)], NOW)

    ledger.record_deleted("sales", INBOX, (str(key) for key in range(1, 1200)), NOW)
    ledger.record_deleted("sales", replace(INBOX, validity=9), ["0"], NOW)

    known = ledger.known("sales", INBOX)
    assert not known["0"].deleted
    assert all(known[str(key)].deleted for key in range(1, 1200))


def test_recorded_again_it_is_on_the_server_again(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.record_deleted("sales", INBOX, ["1"], NOW)
    ledger.record("sales", INBOX, [collected("1")], NOW)

    assert not ledger.known("sales", INBOX)["1"].deleted


def test_fingerprints_are_found_by_header_and_survive_a_record_without(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1"), collected("2")], NOW)
    ledger.record("sales", INBOX, [replace(collected("1"), fingerprint=None)], NOW)

    with ledger.reading() as connection:
        found = connection.execute(
            select(messages.c.key, messages.c.content)
            .join(folders)
            .where(messages.c.header == fingerprint("1").header)
        ).all()
    assert found == [("1", fingerprint("1").content)]


def test_a_delivery_is_stored_once_with_its_name(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1", "a@x", "b@x")], NOW)
    ledger.record("sales", INBOX, [collected("1", "b@x")], NOW)

    with ledger.reading() as connection:
        assert connection.execute(
            select(deliveries.c.recipient, deliveries.c.name, deliveries.c.at).order_by(
                deliveries.c.recipient
            )
        ).all() == [("a@x", "file-1", NOW), ("b@x", "file-1", NOW)]


def test_clear_begins_an_epoch_in_which_nothing_is_known(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)

    assert ledger.clear("sales", NOW).epoch == 2

    assert ledger.identity("sales") == ("sales", 2)
    assert ledger.known("sales", INBOX) == {}
    assert ledger.histories()["sales"].size == 0
    ledger.record("sales", INBOX, [collected("1")], NOW)
    assert list(ledger.known("sales", INBOX)) == ["1"]


def test_unknown_collectors_are_refused_plainly(ledger: SqlLedger) -> None:
    for attempt in (
        lambda: ledger.identity("info"),
        lambda: ledger.clear("info", NOW),
        lambda: ledger.record("info", INBOX, [collected("1")], NOW),
    ):
        with pytest.raises(LedgerUnavailable, match="does not know the collector info"):
            attempt()


def test_threads_record_at_once_and_nothing_is_lost(ledger: SqlLedger) -> None:
    threads = [threading.Thread(target=_session, args=(ledger, number)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number in range(32):
        assert len(ledger.known(f"c{number}", INBOX)) == 30
    with ledger.reading() as connection:
        assert connection.execute(select(func.count()).select_from(messages)).scalar() == 32 * 30


def _session(ledger: SqlLedger, number: int) -> None:
    declare(ledger, f"c{number}", "digest", "new-keep", NOW)
    for batch in range(3):
        ledger.record(f"c{number}", INBOX, [collected(f"{batch}-{key}") for key in range(10)], NOW)
        assert len(ledger.known(f"c{number}", INBOX)) == 10 * (batch + 1)


def test_attempts_at_what_the_server_does_not_give_add_up_and_a_suspicion_is_none(
    ledger: SqlLedger,
) -> None:
    states = [
        MessageState.SUSPECT,
        MessageState.UNFETCHED,
        MessageState.UNFETCHED,
        MessageState.PAUSED,
    ]
    for state in states:
        ledger.record("sales", INBOX, [Record("1", state, 10, reason="cut")], NOW)
    entry = ledger.known("sales", INBOX)["1"]
    assert (entry.state, entry.attempts, entry.reason, entry.at) == (
        MessageState.PAUSED,
        3,
        "cut",
        NOW,
    )
    [parked] = ledger.parked("sales")
    assert (parked.key, parked.reason) == ("1", "cut")
    assert ledger.unpark("sales") == 1
    entry = ledger.known("sales", INBOX)["1"]
    assert (entry.state, entry.attempts, entry.at) == (MessageState.FAILED, 0, None)


def test_L9_what_is_recorded_of_messages_is_durable_at_once(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever may be lost with the power is not written with it."""

    def noting() -> None:
        raise AssertionError("a power cut could take this back")

    monkeypatch.setattr(ledger, "writing_unsynced", noting)
    ledger.record("sales", INBOX, [collected("1"), collected("2")], NOW)
    ledger.record_deleted("sales", INBOX, ["1"], NOW)
    assert ledger.known("sales", INBOX)["1"].deleted


@pytest.mark.parametrize(
    ("state", "counted", "attempts"),
    [
        (MessageState.SUSPECT, True, 2),
        (MessageState.SUSPECT, False, 0),
        (MessageState.PRESUMED, True, 2),
        (MessageState.FAILED, False, 2),
    ],
)
def test_what_counts_as_an_attempt(
    ledger: SqlLedger, state: MessageState, counted: bool, attempts: int
) -> None:
    for _ in range(2):
        ledger.record("sales", INBOX, [Record("7", state, 100, counted=counted)], NOW)
    assert ledger.known("sales", INBOX)["7"].attempts == attempts
