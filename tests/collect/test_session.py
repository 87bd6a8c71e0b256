"""A session over servers, mailboxes and ledgers that fail at any step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import pytest
from msgspec.structs import replace

from reconciler.collect import selection
from reconciler.collect.session_connection import RECONNECTIONS
from reconciler.model.errors import (
    CollectorError,
    ConnectionFailed,
    DestinationUnavailable,
    LedgerUnavailable,
)
from reconciler.model.messages import Deletion, Folder
from reconciler.model.outcomes import (
    Deferred,
    Delivered,
    DeliveryOutcome,
    Entry,
    MessageState,
    Outcome,
    Record,
    Refused,
    SessionReport,
)
from reconciler.model.routing_answer import Routing
from tests.collect.world import (
    Broken,
    Crash,
    Fate,
    Helm,
    MemoryDestination,
    MemoryLedger,
    MemorySource,
    MemoryStaged,
    Server,
    World,
    broken,
    everything_to,
)

TEXTS = {str(uid): f"Subject: {uid}\r\n\r\nbody {uid}\r\n".encode() for uid in range(1, 6)}
STORED = sorted(text.replace(b"\r\n", b"\n") for text in TEXTS.values())
Mode = Literal["all-delete", "new-delete", "new-keep"]
MODES = ["all-delete", "new-delete", "new-keep"]
PROTOCOLS = ["imap", "pop3"]


def world(mode: Mode = "new-keep", protocol: str = "imap", limit: int = 100) -> World:
    made = World(Server(protocol, dict(TEXTS)))
    made.task = replace(made.task, mode=mode, limit=limit)
    return made


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_everything_arrives_once_and_leaves_the_server_as_the_mode_says(
    mode: Mode, protocol: str
) -> None:
    here = world(mode, protocol)
    first, second = here.session(), here.session()
    assert here.mailboxes.texts() == STORED
    assert (first.outcome, first.collected, first.bytes) == (
        Outcome.SUCCEEDED,
        5,
        sum(map(len, STORED)),
    )
    if mode == "new-keep":
        assert list(here.server.messages) == list(TEXTS)
        assert (second.listed, second.skipped_reasons, first.deleted) == (
            5,
            {"collected-before": 5},
            0,
        )
    else:
        assert here.server.messages == {}
        assert (second.listed, first.deleted) == (0, 5)


def test_the_limit_leaves_the_rest_to_the_next_session() -> None:
    here = world(limit=2)
    reports = [here.session() for _ in range(3)]
    assert [(r.collected, r.skipped, r.left) for r in reports] == [(2, 0, 3), (2, 2, 1), (1, 4, 0)]
    assert here.mailboxes.texts() == STORED


@pytest.mark.parametrize("batch_size", [1, 100])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_D13_a_crash_at_every_step_loses_and_doubles_nothing(
    mode: Mode, protocol: str, batch_size: int
) -> None:
    whole = Fate()
    here = world(mode, protocol)
    here.batch_size = batch_size
    here.session(whole)
    assert len(whole.steps) > 10
    for step in range(len(whole.steps)):
        here = world(mode, protocol)
        here.batch_size = batch_size
        with pytest.raises(Crash):
            here.session(Fate(at=step))
        here.session()
        assert here.mailboxes.texts() == STORED, whole.steps[step]
        assert (here.server.messages == {}) == (mode != "new-keep"), whole.steps[step]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_a_broken_connection_at_every_step_loses_and_doubles_nothing(
    mode: Mode, protocol: str
) -> None:
    whole = Fate()
    world(mode, protocol).session(whole)
    remote = ("list", "fetch", "half a message", "before delete", "before quit")
    for step in [number for number, name in enumerate(whole.steps) if name in remote]:
        here = world(mode, protocol)
        report = here.session(Fate(at=step, error=broken))
        if whole.steps[step] in ("list", "before quit"):
            assert report.error is not None
            assert report.error.reason == "ConnectionFailed"
        else:
            assert report.outcome is Outcome.SUCCEEDED
            assert (report.collected, report.left) in ((5, 0), (4, 1))
        here.session()
        assert here.mailboxes.texts() == STORED
        assert (here.server.messages == {}) == (mode != "new-keep")


def test_I15_what_was_fetched_before_the_connection_broke_is_kept() -> None:
    here = world()
    report = here.session(Broken(only=("half a message", "reconnect"), most=2, error=broken))
    assert (report.outcome, report.collected, report.failed, report.left) == (
        Outcome.FAILED,
        0,
        0,
        5,
    )
    assert here.source.closed == "aborted"
    report = here.session(Broken(only=("reconnect",), error=broken))
    assert (report.outcome, report.collected, report.left) == (Outcome.SUCCEEDED, 5, 0)


def test_a_message_that_breaks_the_connection_does_not_hold_up_the_others() -> None:
    here = world(limit=3)
    fate = Fate(error=broken)
    fate.at = 2  # half of the first message
    report = here.session(fate)
    assert (report.collected, report.failed, report.left) == (2, 0, 3)
    entry = here.ledger.known("sales", here.server.folder)["1"]
    assert (entry.state, entry.attempts, entry.reason) == (MessageState.SUSPECT, 0, str(broken()))
    assert here.session().collected == 3
    assert here.mailboxes.texts() == STORED


def test_what_was_kept_to_show_that_the_server_gives_anything_is_deleted_at_last() -> None:
    here = world("new-delete")
    here.session(Fate(at=2, error=broken))  # half of the first message
    assert list(here.server.messages) == ["1"]
    here.server.messages["6"] = b"Subject: 6\r\n\r\nbody 6\r\n"
    report = here.session()
    assert (report.collected, report.deleted, here.server.messages) == (2, 2, {})


def test_a_session_makes_so_many_connections_and_leaves_the_rest() -> None:
    """Every second message ends one."""

    class Alternating(Fate):
        halves = 0

        def step(self, name: str) -> None:
            self.halves += name == "half a message"
            if name == "half a message" and self.halves % 2:
                raise broken()

    here, helm = world(), Helm()
    here.server.messages = {str(key): b"Subject: x\r\n\r\n%d\r\n" % key for key in range(1, 201)}
    report = here.session(Alternating(), helm)
    assert helm.logins == 1 + RECONNECTIONS + 1
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, RECONNECTIONS)


def test_I16_a_refused_message_is_tried_again_and_then_parked_while_the_others_flow() -> None:
    here = world("new-delete")
    here.server.refuse = {"2"}
    reports = [here.session() for _ in range(6)]
    assert (reports[0].collected, reports[0].failed, reports[0].deleted) == (4, 1, 4)
    assert [(r.failed, r.parked) for r in reports[1:]] == [(1, 0), (1, 0), (1, 0), (0, 1), (0, 1)]
    assert all(r.notes == ("INBOX 2: NO such luck",) for r in reports[:4])
    assert list(here.server.messages) == ["2"]
    assert "given up after 5 attempts" in here.ledger.known("sales", here.server.folder)["2"].reason


@pytest.mark.parametrize("ignores_pauses", [False, True])
def test_a_message_for_which_the_receiver_named_a_time_is_not_tried_before(
    ignores_pauses: bool,
) -> None:
    """Nor by whoever asks for a session. The others go on."""
    here, tried = world(), list[str]()
    here.task = replace(here.task, route=everything_to("late@here", "a@here"))

    def verdict(recipient: str) -> DeliveryOutcome:
        tried.append(recipient)
        return (
            Delivered(recipient, "")
            if recipient == "a@here"
            else Deferred(recipient, "451 in 10 min", wait=600)
        )

    here.verdict = verdict
    assert here.session().failed == 5
    here.server.messages["6"] = b"Subject: 6\r\n\r\nbody 6\r\n"
    for minutes, late, counters in (
        (1, 6, (5, 1)),
        (4, 6, (6, 0)),
        (4, 6, (6, 0)),
        (1, 11, (1, 5)),
    ):
        here.now += timedelta(minutes=minutes)
        report = here.session(
            helm=Helm(ignores_pauses=ignores_pauses, repeats_unanswered=ignores_pauses)
        )
        assert (report.parked, report.failed) == counters
        assert (tried.count("late@here"), tried.count("a@here")) == (late, 6)
    assert report.notes[0].endswith("late@here: 451 in 10 min")


def test_I12_a_vanished_message_is_no_error() -> None:
    here = world()
    here.server.vanish = {"3"}
    report = here.session()
    assert (report.outcome, report.collected, report.skipped_reasons) == (
        Outcome.SUCCEEDED,
        4,
        {"vanished": 1},
    )


def test_M16_a_message_that_is_listed_and_gone_again_and_again_is_counted_and_told() -> None:
    """From the second session on, with the server's words."""
    here = world()
    here.server.vanish = {"3"}
    _, *later = [here.session() for _ in range(6)]
    assert [(one.failed, one.parked) for one in later] == [(1, 0)] * 4 + [(0, 1)]
    assert all(
        one.notes[0].endswith("gone when it is asked for: Message is expunged") for one in later[:4]
    )


def test_what_cannot_be_removed_does_not_hide_why_the_session_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: MemoryDestination, staged: Sequence[MemoryStaged]) -> None:
        self.open = []
        raise DestinationUnavailable("read-only now")

    here = world()
    whole = Fate()
    world().session(whole)
    monkeypatch.setattr(MemoryDestination, "discard", refuse)
    report = here.session(
        Fate(on=("before commit", 3), error=lambda: DestinationUnavailable("the disk is full"))
    )
    assert report.error is not None
    assert (report.error.message, report.listed) == ("the disk is full", 5)
    assert any("read-only now" in note for note in report.notes)


def test_M13_too_large_is_skipped_visibly_and_never_deleted() -> None:
    here = world("all-delete")
    here.server.messages["6"] = b"x" * 20_000
    report = here.session()
    assert (report.collected, report.skipped_reasons, list(here.server.messages)) == (
        5,
        {"too-large": 1},
        ["6"],
    )


def test_P10_a_uidl_that_returns_is_deleted_if_its_content_is_the_same_else_collected() -> None:
    here = world("new-delete", "pop3")
    here.session()
    here.server.messages = {"1": TEXTS["1"], "2": b"Subject: another\r\n\r\n"}
    report = here.session()
    assert (report.collected, report.skipped_reasons, report.deleted) == (
        1,
        {"collected-before": 1},
        2,
    )
    assert here.mailboxes.texts() == sorted([*STORED, b"Subject: another\n\n"])


def test_P9_a_deletion_that_is_refused_at_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world("new-delete", "pop3")
    refused = Deletion(refused=(("1", "-ERR the maildrop is read-only"),))

    def finish(source: MemorySource) -> Deletion:
        source.closed = "finished"
        return refused

    monkeypatch.setattr(MemorySource, "finish", finish)
    report = here.session()
    assert report.deleted == 0
    assert report.notes == (
        "1 messages stay on the server, their deletion was refused: -ERR the maildrop is read-only",
    )


def test_P7_a_doubted_message_is_delivered_once_and_never_deleted() -> None:
    here = world("new-delete", "pop3")
    here.server.doubt = {"2"}
    first, second = here.session(), here.session()
    assert (first.collected, first.deleted, second.skipped_reasons) == (
        5,
        4,
        {"collected-before": 1},
    )
    assert here.mailboxes.texts() == STORED
    assert list(here.server.messages) == ["2"]


def test_D10_one_recipient_put_off_is_tried_again_alone() -> None:
    here = world("new-delete")
    here.server.messages = {"1": TEXTS["1"]}
    here.task = replace(here.task, route=everything_to("a@here", "b@here"))
    asked: list[str] = []

    def busy(recipient: str) -> DeliveryOutcome:
        asked.append(recipient)
        return (
            Deferred(recipient, "452 full")
            if recipient == "b@here"
            else Delivered(recipient, "file")
        )

    here.verdict = busy
    report = here.session()
    assert (report.collected, report.failed, report.deleted) == (0, 1, 0)
    here.verdict = lambda recipient: asked.append(recipient) or Delivered(recipient, "file")  # type: ignore[func-returns-value]
    report = here.session()
    assert (report.collected, report.deleted, asked) == (1, 1, ["a@here", "b@here", "b@here"])


def test_D9_a_refusal_parks_the_message_and_keeps_it_on_the_server() -> None:
    here = world("all-delete")
    here.verdict = lambda recipient: Refused(recipient, "554 no")
    report = here.session()
    assert (report.parked, report.deleted, len(here.server.messages)) == (5, 0, 5)
    assert report.outcome is Outcome.SUCCEEDED


def test_nobody_found_parks_the_message() -> None:
    here = world("all-delete")
    here.task = replace(
        here.task, route=lambda head: Routing((), parked=True, reason="no-recipient-found")
    )
    assert here.session().parked == 5
    assert here.session().parked == 5
    assert len(here.server.messages) == 5


def test_a_message_that_also_has_a_recipient_nobody_can_reach_is_delivered_and_parked() -> None:
    here = world("all-delete")
    here.server.messages = {"1": TEXTS["1"]}
    routing = replace(everything_to("a@here")(b""), parked=True, reason="smtputf8-missing")
    here.task = replace(here.task, route=lambda head: routing)
    report = here.session()
    assert (report.parked, report.collected, len(here.server.messages)) == (1, 0, 1)
    assert len(here.mailboxes.texts()) == 1
    assert here.ledger.known("sales", here.server.folder)["1"].reason == "smtputf8-missing"


def test_an_alert_that_cannot_be_kept_is_noted_by_the_next_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def locked(*_: object) -> None:
        raise LedgerUnavailable("the ledger is locked")

    here = world()
    here.server.alerts = ["the quota is nearly used up"]
    for method in ("keep_alerts", "alerts"):
        with monkeypatch.context() as patch:
            patch.setattr(here.ledger, method, locked)
            report = here.session()
        assert (report.outcome, report.notes) == (Outcome.SUCCEEDED, ())
    assert here.session().notes == ("the server's alert: the quota is nearly used up",)


def test_an_alert_is_noted_once_and_kept() -> None:
    here = world()
    here.server.alerts = ["the quota is nearly used up"]
    assert here.session().notes == ("the server's alert: the quota is nearly used up",)
    assert here.session().notes == ()
    here.server.alerts = ["internal error [2026-11-28 04:16:17]"]
    assert len(here.session().notes) == 1
    here.server.alerts = ["internal error [2026-11-28 04:16:18]"]
    assert here.session().notes == ()
    here.server.alerts = ["the quota is nearly used up", "the password is weak"]
    report = here.session(Fate(on=("list", 1), error=lambda: ConnectionFailed("lost")))
    assert report.notes == ("the server's alert: the password is weak",)
    assert [alert.text for alert in here.ledger.told] == [
        "the password is weak",
        "internal error [2026-11-28 04:16:17]",
        "the quota is nearly used up",
    ]
    assert here.session().notes == ()


def test_back_pressure_ends_fetching_and_deletes_nothing() -> None:
    here = world("new-delete")
    here.batch_size = 1
    here.verdict = lambda recipient: Deferred(recipient, "451 later")
    report = here.session()
    assert report.error is not None
    assert report.error.reason == "DestinationUnavailable"
    assert (report.failed, report.left, len(here.server.messages)) == (3, 2, 5)
    here.verdict = lambda recipient: Deferred(recipient, "451 in 10 minutes", wait=600)
    report = here.session()
    assert report.error is not None
    assert report.error.retry_after == 600


def test_a_message_that_a_mail_system_fails_with_waits_behind_the_others() -> None:
    """It may be what that fails at: each session would end with it, and none of the others ever
    come."""

    def fails() -> DestinationUnavailable:
        error = DestinationUnavailable("takes no mail: 530 no")
        error.at_message = True
        return error

    here = world("new-delete")
    here.batch_size = 1
    report = here.session(Fate(on=("before commit", 3), error=fails))
    assert (report.collected, report.failed, report.left) == (2, 1, 2)
    report = here.session(Fate(on=("before commit", 3), error=fails))
    assert (report.collected, report.failed, report.left) == (2, 1, 0)
    report = here.session()
    assert (report.collected, report.deleted) == (1, 5)


@pytest.mark.parametrize(
    ("at_message", "stopping", "attempts"), [(True, False, 1), (True, True, 0), (False, False, 0)]
)
def test_a_mail_system_that_fails_counts_for_the_message_that_it_failed_with(
    at_message: bool, stopping: bool, attempts: int
) -> None:
    helm = Helm()

    def fails() -> DestinationUnavailable:
        helm.stop_after = 0 if stopping else -1
        error = DestinationUnavailable("takes no mail: 530 no")
        error.at_message = at_message
        return error

    here = world("new-keep")
    here.batch_size = 1
    here.session(Fate(on=("before commit", 1), error=fails), helm)
    assert sum(row.entry.attempts for row in here.ledger.rows.values()) == attempts


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", ["all-delete", "new-delete"])
def test_R6_without_the_lease_nothing_is_deleted(mode: Mode, protocol: str) -> None:
    here = world(mode, protocol)
    here.ledger.lost = True
    report = here.session()
    assert report.error is not None
    assert (report.error.reason, report.collected, report.deleted) == ("LeaseLost", 5, 0)
    assert len(here.server.messages) == 5
    here.session()
    assert len(here.server.messages) == 5  # recorded by now, and still not deleted
    here.ledger.lost = False
    assert here.session().deleted == 5
    assert here.mailboxes.texts() == STORED


def one_after_the_other(addresses: Iterable[str]) -> Callable[[bytes], Routing]:
    """Each message to the next address."""
    routes = map(everything_to, addresses)

    def route(head: bytes) -> Routing:
        return next(routes)(head)

    return route


def test_D8_a_mailbox_that_is_full_does_not_hold_up_the_others() -> None:
    here = world("new-delete")
    here.batch_size = 1
    here.task = replace(
        here.task, single=False, route=one_after_the_other(["full@here"] * 4 + ["a@here"])
    )
    here.verdict = lambda recipient: (
        Deferred(recipient, "452 full")
        if recipient == "full@here"
        else Delivered(recipient, "file")
    )
    report = here.session()
    assert (report.outcome, report.failed, report.collected, report.deleted) == (
        Outcome.SUCCEEDED,
        4,
        1,
        1,
    )


def test_back_pressure_of_several_mailboxes_ends_fetching() -> None:
    here = world("new-delete")
    here.batch_size = 1
    here.task = replace(
        here.task, single=False, route=one_after_the_other([f"{each}@here" for each in range(5)])
    )
    here.verdict = lambda recipient: Deferred(recipient, "451 later")
    report = here.session()
    assert (report.failed, report.left) == (3, 2)


def test_D1_a_full_disk_ends_the_session_and_everything_comes_later() -> None:
    here = world("new-delete")
    here.full = True
    report = here.session()
    assert report.error is not None
    assert report.error.message == "the disk is full"
    here.full = False
    here.session()
    here.session()
    assert here.mailboxes.texts() == STORED


def test_D1_a_disk_that_stays_full_for_long_parks_nothing() -> None:
    here = world("new-delete")
    here.full = True
    assert {here.session().parked for _ in range(8)} == {0}
    here.full = False
    here.session()
    here.session()
    assert here.mailboxes.texts() == STORED
    assert here.server.messages == {}


def test_R5_a_ledger_that_fails_stops_the_session_before_anything_is_deleted() -> None:
    whole = Fate()
    world("new-delete").session(whole)
    at = whole.steps.index("before record")
    here = world("new-delete")
    report = here.session(Fate(at=at, error=lambda: LedgerUnavailable("database is locked")))
    assert report.error is not None
    assert (report.error.reason, report.failed, len(here.server.messages)) == (
        "LedgerUnavailable",
        5,
        5,
    )
    here.session()
    assert here.mailboxes.texts() == STORED


def test_stopping_finishes_the_message_in_hand_and_is_no_failure() -> None:
    here = world()
    here.batch_size = 1
    report = here.session(helm=Helm(stop_after=3))
    assert (report.outcome, report.error, report.collected, report.left) == (
        Outcome.INTERRUPTED,
        None,
        2,
        3,
    )
    assert here.session().collected == 3
    assert here.mailboxes.texts() == STORED


def test_a_message_of_which_all_copies_are_delivered_needs_no_second_one() -> None:
    here = world()
    folder = here.server.folder
    here.ledger.put(
        folder, Entry("1", MessageState.FAILED, attempts=1, delivered=frozenset({"a@here"}))
    )
    assert here.session().collected == 5
    assert here.mailboxes.texts() == [
        text for text in STORED if text != TEXTS["1"].replace(b"\r\n", b"\n")
    ]


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
def test_P1_without_UIDL_the_modes_that_must_tell_messages_apart_refuse(mode: Mode) -> None:
    here = world(mode, "pop3")
    here.server.uidl = False
    report = here.session()
    assert report.error is not None
    assert report.error.reason == "SourceUnsuitable"
    assert "all-delete" in report.error.message
    assert (report.listed, len(here.server.messages)) == (0, 5)


def test_P1_all_delete_goes_by_content_and_two_identical_messages_are_two() -> None:
    whole = Fate()
    here = unkeyed()
    here.session(whole)
    assert here.mailboxes.texts() == sorted([*STORED, STORED[0]])
    for step in range(len(whole.steps)):
        here = unkeyed()
        with pytest.raises(Crash):
            here.session(Fate(at=step))
        here.session()
        assert here.mailboxes.texts() == sorted([*STORED, STORED[0]]), whole.steps[step]
        assert here.server.messages == {}


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("mode", MODES)
def test_P2_messages_with_the_same_uidl_are_told_apart_before_they_are_deleted(
    mode: Mode, limit: int
) -> None:
    whole = Fate()
    shared(mode, limit).session(whole)
    for step in range(len(whole.steps)):
        here = shared(mode, limit)
        with pytest.raises(Crash):
            here.session(Fate(at=step))
        for _ in range(12):
            here.session()
        assert here.mailboxes.texts() == STORED, whole.steps[step]
        assert (here.server.messages == {}) == (mode != "new-keep")


def shared(mode: Mode, limit: int) -> World:
    here = world(mode, "pop3", limit)
    here.server.same_uidl = True
    return here


def test_P1_what_was_deleted_for_good_and_comes_again_is_new() -> None:
    here = unkeyed()
    here.session()
    here.server.messages = {"#1": TEXTS["1"]}
    assert here.session().collected == 1
    assert here.mailboxes.texts() == sorted([*STORED, STORED[0], STORED[0]])


def unkeyed() -> World:
    """A server without UIDL that holds the first message twice."""
    here = world("all-delete", "pop3")
    here.server.uidl = False
    here.server.messages["again"] = TEXTS["1"]
    return here


def test_I26_nothing_is_deleted_where_the_server_opens_the_folder_read_only() -> None:
    here = world("new-delete")
    here.server.read_only = True
    first, second = here.session(), here.session()
    assert (first.collected, first.deleted, second.deleted) == (5, 0, 0)
    assert any("read-only" in note for note in first.notes)
    assert len(here.server.messages) == 5


class Taken(Fate):
    """Another process takes the ledger while messages are deleted, before QUIT."""

    def __init__(self, here: World) -> None:
        super().__init__()
        self.here = here

    def step(self, name: str) -> None:
        super().step(name)
        self.here.ledger.lost = self.here.ledger.lost or name == "before delete"


def test_R6_the_lease_is_asked_for_once_more_before_quit() -> None:
    here = world("new-delete", "pop3")
    report = here.session(Taken(here))
    assert report.error is not None
    assert (report.error.reason, report.collected, report.deleted) == ("LeaseLost", 5, 0)
    assert len(here.server.messages) == 5


@pytest.mark.parametrize(
    "error", [DestinationUnavailable("the disk is full"), CollectorError("this one cannot be")]
)
@pytest.mark.parametrize("stopping", [True, False])
def test_what_fails_while_the_session_is_stopped_counts_for_no_message(
    monkeypatch: pytest.MonkeyPatch, stopping: bool, error: CollectorError
) -> None:
    here, helm = world("new-delete"), Helm()

    def stage(*_: object) -> MemoryStaged:
        raise error

    monkeypatch.setattr(MemoryDestination, "stage", stage)

    def route(head: bytes) -> Routing:
        helm.stop_after = 0 if stopping else -1
        return everything_to("a@here")(head)

    here.task = replace(here.task, route=route)
    report = here.session(helm=helm)
    assert (report.outcome, report.collected) == (
        Outcome.INTERRUPTED if stopping else Outcome.FAILED,
        0,
    )
    entries = [row.entry for row in here.ledger.rows.values()]
    assert [entry.attempts for entry in entries] == ([] if stopping else [1])


def test_put_offs_with_successes_between_them_do_not_end_fetching() -> None:
    here = world("new-delete")
    here.batch_size = 1
    here.task = replace(here.task, route=one_after_the_other(["full@here", "a@here"] * 3))
    here.verdict = lambda recipient: (
        Deferred(recipient, "452 full")
        if recipient == "full@here"
        else Delivered(recipient, "file")
    )
    report = here.session()
    assert (report.outcome, report.failed, report.collected) == (Outcome.SUCCEEDED, 3, 2)


def test_a_message_refused_for_one_and_put_off_for_another_is_tried_again() -> None:
    here = world("new-delete")
    here.server.messages = {"1": TEXTS["1"]}
    here.task = replace(here.task, route=everything_to("a@here", "b@here"))
    here.verdict = lambda recipient: (
        Deferred(recipient, "452 full") if recipient == "b@here" else Refused(recipient, "554 no")
    )
    report = here.session()
    assert (report.failed, report.parked) == (1, 0)


def test_thousands_that_were_collected_before_are_all_deleted() -> None:
    here = world("new-keep", limit=0)
    here.server.messages = {str(uid): b"Subject: %d\r\n\r\n" % uid for uid in range(1, 2002)}
    here.session()
    here.task = replace(here.task, mode="new-delete")
    assert here.session().deleted == 2001
    assert here.server.messages == {}


@pytest.mark.parametrize("refused", [{1}, {2}, {1, 2, 3, 4, 5}])
def test_R1_without_a_thread_to_be_had_batches_are_committed_one_after_the_other(
    refused: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, and nothing committed twice, though what was submitted stays in the pool's
    queue."""
    starts: list[threading.Thread] = []
    start = threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        if thread.name.startswith("commit"):
            starts.append(thread)
            if len(starts) in refused:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)
    here = world()
    here.batch_size = 2
    report = here.session()
    assert starts
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, 5)
    assert here.mailboxes.texts() == STORED


def test_P1_of_two_equal_messages_one_is_collected_where_one_was_before() -> None:
    here = world("all-delete", "pop3")
    here.server.uidl = False
    here.server.messages = {"#1": TEXTS["1"]}
    assert here.session(Fate(on=("before quit", 1), error=broken)).collected == 1
    here.server.messages["#2"] = TEXTS["1"]
    report = here.session()
    assert (report.collected, report.skipped, report.deleted) == (1, 1, 2)
    assert len(here.mailboxes.texts()) == 2


def test_what_a_batch_under_way_delivered_is_counted_where_the_ledger_fails_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = MemoryLedger.record

    def failing(
        self: MemoryLedger,
        collector: str,
        folder: Folder,
        records: Sequence[Record],
        now: datetime,
    ) -> None:
        if any(each.state is MessageState.PARKED for each in records):
            raise LedgerUnavailable("locked")
        record(self, collector, folder, records, now)

    monkeypatch.setattr(MemoryLedger, "record", failing)
    here = world()
    here.batch_size = 2
    to = everything_to("a@here")
    here.task = replace(
        here.task,
        route=lambda head: (
            Routing((), parked=True, reason="no-recipient-found")
            if b"Subject: 3" in head
            else to(head)
        ),
    )
    report = here.session()
    assert (report.outcome, report.collected) == (Outcome.FAILED, 2)


def test_once_it_is_told_to_stop_no_other_message_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconciler.collect.selection.ROUND_COUNT", 1)
    for reports in range(1, 12):
        here, fate = world("new-delete"), Fate()

        class Noticing(Helm):
            stopped_at = 0

            def progress(self, report: SessionReport, fate: Fate = fate) -> None:
                super().progress(report)
                if self.stopping:
                    self.stopped_at = self.stopped_at or len(fate.steps)

        helm = Noticing(stop_after=reports)
        here.session(fate, helm)
        assert "fetch" not in fate.steps[helm.stopped_at :] or not helm.stopped_at


@pytest.mark.parametrize("uidl", [True, False])
@pytest.mark.parametrize(
    ("outcome", "asked_in_all"),
    [
        pytest.param(Refused("a@here", "554 no"), 1, id="parked"),
        pytest.param(Deferred("a@here", "no answer", unsure=True), 2, id="never answered"),
        pytest.param(Deferred("a@here", "451 later", wait=3600.0), 1, id="later"),
        pytest.param(Deferred("a@here", "451 busy"), 4, id="busy"),
    ],
)
def test_P1_without_uidl_a_message_waits_as_long_as_with_it(
    outcome: DeliveryOutcome, asked_in_all: int, uidl: bool
) -> None:
    here = world("all-delete", "pop3")
    here.server.uidl = uidl
    asked: list[str] = []
    here.verdict = lambda recipient: asked.append(recipient) or outcome  # type: ignore[func-returns-value]
    here.server.messages = {"1": TEXTS["1"]}
    for _ in range(4):
        report = here.session()
        assert (report.parked + report.failed, report.deleted) == (1, 0)
    assert len(asked) == asked_in_all
    here.verdict = lambda recipient: Delivered(recipient, "file")
    here.now += timedelta(days=2)
    assert here.session().collected == (asked_in_all != 1 or not isinstance(outcome, Refused))


def test_a_message_that_cannot_be_taken_is_given_up_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stage(*_: object) -> MemoryStaged:
        raise CollectorError("this one cannot be")

    here = world("new-keep")
    here.server.messages = {"1": STORED[0]}
    monkeypatch.setattr(MemoryDestination, "stage", stage)
    told = []
    for _ in range(6):
        here.session()
        here.now += timedelta(days=2)
        [row] = here.ledger.rows.values()
        told.append((row.entry.state.value, row.entry.attempts, row.entry.reason))
    failed = [("failed", number, "this one cannot be") for number in range(1, 5)]
    assert told[:4] == failed
    assert told[4:] == [("parked", 4, "given up after 5 attempts: this one cannot be")] * 2


def test_a_session_fetches_and_deletes_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "ROUND_COUNT", 2)
    here, fate = world("new-delete"), Fate()
    report = here.session(fate)
    assert (report.collected, report.deleted) == (5, 5)
    assert fate.steps.count("before delete") == 3
