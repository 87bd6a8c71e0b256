"""What the control loop keeps: declarations, histories, sessions, back-offs, last good
manifests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from reconciler.ledger import SqlLedger
from reconciler.ledger.tables import accounts, collectors, deliveries, folders, messages, sessions
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import (
    AccountState,
    CollectedCount,
    DeclaredCollector,
    LastGood,
    ParkedMessage,
    Retry,
)
from reconciler.model.outcomes import Entry, Failure, MessageState, Outcome, SessionReport, Totals
from tests.ledger.samples import (
    DAY,
    INBOX,
    MAILBOX,
    NOW,
    collected,
    declare,
    failed,
    parked,
    session,
)


def test_a_changed_digest_raises_the_generation(ledger: SqlLedger) -> None:
    assert declare(ledger, "sales", "digest", "new-keep", NOW) == DeclaredCollector("sales", 1, 1)
    assert declare(ledger, "sales", "other", "new-keep", NOW) == DeclaredCollector("sales", 2, 1)
    assert declare(ledger, "sales", "digest", "new-keep", NOW) == DeclaredCollector("sales", 3, 1)


def test_a_change_into_all_delete_begins_an_epoch_and_no_other_change_does(
    ledger: SqlLedger,
) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)

    assert declare(ledger, "sales", "2", "new-delete", NOW).epoch == 1
    assert ledger.known("sales", INBOX)
    assert declare(ledger, "sales", "3", "all-delete", NOW) == DeclaredCollector("sales", 3, 2)
    assert not ledger.known("sales", INBOX)
    assert declare(ledger, "sales", "4", "all-delete", NOW).epoch == 2
    assert declare(ledger, "sales", "5", "new-keep", NOW).epoch == 2


def test_a_retired_collector_gets_its_history_back_within_30_days(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.retire("sales", NOW)
    ledger.retire("sales", NOW + 20 * DAY)  # the first one counts
    assert ledger.histories() == {}
    assert ledger.histories(["sales", "info"])["sales"].size == 1

    run_for(ledger, 29)
    ledger.expire(NOW + 30 * DAY - timedelta(seconds=1))
    assert declare(ledger, "sales", "digest", "new-keep", NOW) == DeclaredCollector("sales", 1, 1)
    run_for(ledger, 60)

    assert list(ledger.known("sales", INBOX)) == ["1"]


def test_a_retired_collector_is_forgotten_after_30_days(ledger: SqlLedger) -> None:
    declare(ledger, "info", "digest", "new-keep", NOW)
    for name, folder in (("sales", INBOX), ("info", MAILBOX)):
        ledger.record(name, folder, [collected("1"), parked("2")], NOW)
        ledger.record_session(name, session())
    ledger.retire("sales", NOW)

    run_for(ledger, 30)

    with ledger.reading() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar()
            for table in (collectors, accounts, folders, messages, deliveries, sessions)
        ]
    assert counts == [1, 1, 1, 2, 1, 1]
    assert declare(ledger, "sales", "other", "new-keep", NOW) == DeclaredCollector("sales", 1, 1)


def test_expire_drops_what_former_epochs_remembered(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.clear("sales", NOW)
    ledger.record("sales", INBOX, [collected("2")], NOW)

    ledger.expire(NOW)

    with ledger.reading() as connection:
        assert connection.execute(select(messages.c.key)).scalars().all() == ["2"]


def test_expire_goes_on_until_all_is_forgotten(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.ledger.session_records._AT_ONCE", 3)
    ledger.record("sales", INBOX, [collected(str(key)) for key in range(10)], NOW)
    ledger.clear("sales", NOW)

    ledger.expire(NOW)

    with ledger.reading() as connection:
        assert connection.execute(select(messages.c.key)).all() == []


def test_sessions_come_newest_first_as_they_were(ledger: SqlLedger) -> None:
    told = SessionReport(
        NOW,
        NOW + timedelta(seconds=3),
        Outcome.FAILED,
        listed=10,
        collected=1,
        skipped_reasons={"collected-before": 2, "too-large": 3},
        parked=1,
        failed=1,
        left=2,
        deleted=4,
        bytes=1 << 40,
        error=Failure("Throttled", "слишком часто", 60.0),
        notes=("a", "b"),
    )
    ledger.record_session("sales", session(1))
    ledger.record_session("sales", told)

    assert ledger.sessions("sales") == [told, session(1)]
    assert ledger.sessions("sales", 1) == [told]
    assert ledger.sessions("info") == []


def test_totals_and_the_last_session_come_with_the_history(ledger: SqlLedger) -> None:
    declare(ledger, "info", "digest", "new-keep", NOW)
    ledger.record_session(
        "sales", session(1, listed=5, collected=3, failed=2, deleted=1, bytes=300)
    )
    ledger.record_session("sales", session(2, listed=1, collected=1, bytes=100))

    histories = ledger.histories()

    assert list(histories) == ["info", "sales"]
    assert histories["info"].last_session is None
    assert histories["sales"].last_session == session(2, listed=1, collected=1, bytes=100)
    assert histories["sales"].totals == Totals(
        sessions=2, collected=4, failed=2, deleted=1, bytes=400
    )
    with pytest.raises(LedgerUnavailable, match="does not know the collector nobody"):
        ledger.record_session("nobody", session())


def test_what_sessions_collected_in_a_time(ledger: SqlLedger) -> None:
    for number, count in ((0, 9), (1, 2), (2, 0), (3, 4), (5, 8)):
        ledger.record_session("sales", session(number, listed=count, collected=count))
    since, until = (session(number).finished_at for number in (1, 5))

    assert ledger.collected_between(since, until) == [
        CollectedCount("sales", session(number).finished_at, count)
        for number, count in ((1, 2), (3, 4))
    ]


def test_only_the_last_hundred_sessions_are_kept(ledger: SqlLedger) -> None:
    for number in range(103):
        ledger.record_session("sales", session(number))

    ledger.expire(NOW)

    kept = ledger.sessions("sales", 1000)
    assert kept == [session(number) for number in range(102, 2, -1)]
    assert ledger.histories()["sales"].totals.sessions == 103


def test_parked_messages_are_listed_oldest_first_until_they_are_gone(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [parked("2", "later")], NOW + DAY)
    ledger.record("sales", MAILBOX, [parked("1"), collected("3"), failed("4"), parked("5")], NOW)
    ledger.record_deleted("sales", MAILBOX, ["5"], NOW)

    assert ledger.parked("sales") == [
        ParkedMessage("", "1", 100, "unknown-mailbox", NOW),
        ParkedMessage("INBOX", "2", 100, "later", NOW + DAY),
    ]
    assert len(ledger.parked("sales", 1)) == 1
    ledger.clear("sales", NOW)
    assert ledger.parked("sales") == []


def test_unparked_messages_are_tried_again_and_keep_who_has_them(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [failed("1", "a@x"), failed("2")], NOW)
    ledger.record("sales", INBOX, [parked("1"), collected("3")], NOW)

    assert ledger.unpark("sales") == 1
    assert ledger.unpark("sales") == 0

    known = ledger.known("sales", INBOX)
    assert known["1"] == Entry(
        "1", MessageState.FAILED, delivered=frozenset({"a@x"}), reason="unknown-mailbox"
    )
    assert known["2"].attempts == 1
    assert known["3"] == Entry("3", MessageState.COLLECTED)


def test_a_back_off_is_kept_until_it_is_lifted(ledger: SqlLedger) -> None:
    retry = Retry("AuthenticationFailed", "отказано", 3, NOW + DAY, "digest", "stamp")
    ledger.save_retry("sales", retry)
    assert ledger.histories()["sales"].retry == retry

    ledger.save_retry("sales", None)
    assert ledger.histories()["sales"].retry is None


def test_last_good_manifests_are_replaced_and_forgotten(ledger: SqlLedger) -> None:
    first = LastGood("MailCollector", "sales", "/etc/c.d/a.yaml", 1, "/etc/c.d", '{"a": "ё"}')
    second = LastGood("Destination", "local", "/etc/c.d/a.yaml", 20, "/etc/c.d", "{}")
    ledger.save_last_good([first, second], [], NOW)
    assert ledger.last_good() == [second, first]

    changed = LastGood("MailCollector", "sales", "/etc/c.d/b.yaml", 2, "/etc/c.d", "{}")
    ledger.save_last_good([changed], [("Destination", "local"), ("Destination", "none")], NOW)
    ledger.save_last_good([], [], NOW)
    assert ledger.last_good() == [changed]


def test_histories_of_many_collectors(ledger: SqlLedger) -> None:
    with ledger.writing() as connection:
        connection.execute(
            collectors.insert(),
            [
                {
                    "name": f"c{number}",
                    "generation": 1,
                    "digest": "d",
                    "mode": "new-keep",
                    "epoch": 1,
                    "declared_at": NOW,
                    "remembered": 0,
                    "sessions": 0,
                    "collected": 0,
                    "failed": 0,
                    "deleted": 0,
                    "bytes": 0,
                }
                for number in range(2000)
            ],
        )

    assert len(ledger.histories()) == 2001
    assert len(ledger.histories(f"c{number}" for number in range(1500))) == 1500


STATE = AccountState(
    '[["INBOX",7,4,3,0]]', "digest", NOW, 3, {"collected-before": 2, "too-large": 1}, 0
)


def test_an_account_state_is_kept_as_it_was(ledger: SqlLedger) -> None:
    assert ledger.account_state("sales") is None
    assert ledger.account_state("nobody") is None
    ledger.keep_account_state("sales", 1, STATE)
    assert ledger.account_state("sales") == STATE
    ledger.record_session("sales", session())
    ledger.save_retry("sales", None)
    declare(ledger, "sales", "digest", "new-keep", NOW)
    assert ledger.account_state("sales") == STATE


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.record("sales", INBOX, [collected("9")], NOW),
        lambda ledger: ledger.record_deleted("sales", INBOX, ["1"], NOW),
        lambda ledger: ledger.unpark("sales"),
        lambda ledger: ledger.clear("sales", NOW),
        lambda ledger: declare(ledger, "sales", "other", "new-keep", NOW),
        lambda ledger: (
            ledger.retire("sales", NOW),
            declare(ledger, "sales", "digest", "new-keep", NOW),
        ),
    ],
)
def test_whatever_is_recorded_ends_an_account_state(
    ledger: SqlLedger, change: Callable[[SqlLedger], object]
) -> None:
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.keep_account_state("sales", 1, STATE)
    change(ledger)
    assert ledger.account_state("sales") is None


def test_an_account_state_of_an_older_epoch_is_not_kept(ledger: SqlLedger) -> None:
    ledger.clear("sales", NOW)
    ledger.keep_account_state("sales", 1, STATE)
    assert ledger.account_state("sales") is None


def test_M8_what_was_retired_by_a_clock_that_was_ahead_is_kept_30_days_from_now(
    ledger: SqlLedger,
) -> None:
    declare(ledger, "sales", "digest", "new-keep", NOW)
    ledger.retire("sales", NOW + 400 * DAY)
    run_for(ledger, 29)
    assert "sales" in ledger.histories(["sales"])
    run_for(ledger, 31)
    assert "sales" not in ledger.histories(["sales"])


@pytest.mark.parametrize("days", [40, 1100, 20_000])
def test_R2_a_clock_that_jumps_ahead_forgets_nothing_at_once(ledger: SqlLedger, days: int) -> None:
    """A start by a wrong clock, or a day of it, and every removed collector's mail would come
    again."""
    ledger.record("sales", INBOX, [collected("1")], NOW)
    ledger.retire("sales", NOW)
    for hours in (0, 6, 12, 18, 24):
        ledger.expire(NOW + days * DAY + timedelta(hours=hours))
    ledger.expire(NOW - days * DAY)
    ledger.expire(NOW)
    assert ledger.histories(["sales"])["sales"].size == 1
    run_for(ledger, 26)
    assert "sales" in ledger.histories(["sales"])
    run_for(ledger, 31)
    assert "sales" not in ledger.histories(["sales"])


def run_for(ledger: SqlLedger, days: int) -> None:
    """As a daemon that runs since `NOW` and looks once a day."""
    for day in range(days + 1):
        ledger.expire(NOW + day * DAY)


def test_a_new_collector_begins_with_the_first_epoch(ledger: SqlLedger) -> None:
    made = declare(ledger, "acme", "digest", "new-keep", NOW)
    assert (made.generation, made.epoch) == (1, 1)
    assert ledger.identity("acme") == ("acme", 1)
    assert declare(ledger, "acme", "digest", "new-keep", NOW) == made


def test_doubtful_messages_that_stay_on_the_server_are_counted(ledger: SqlLedger) -> None:
    declare(ledger, "sales", "digest", "new-delete", NOW)
    doubtful = [replace(collected(key), reason="sizes differ") for key in ("2", "3")]
    ledger.record("sales", INBOX, [collected("1"), *doubtful, parked("4")], NOW)
    assert ledger.kept_back("sales") == 2
    ledger.record_deleted("sales", INBOX, ["3"], NOW)
    assert ledger.kept_back("sales") == 1
    ledger.clear("sales", NOW)
    assert ledger.kept_back("sales") == 0
