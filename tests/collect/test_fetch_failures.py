"""Messages with which a fetch breaks down, of a server in memory: who is blamed, and what it costs.

`test_poison` has the same of scripted servers."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, combinations

import pytest
from msgspec.structs import replace

from reconciler.model.errors import (
    ConnectionFailed,
    FolderFailed,
    PolicyRefused,
    Throttled,
)
from reconciler.model.outcomes import MessageState, Outcome
from reconciler.model.routing_answer import Routing
from tests.collect.accounts import Mode
from tests.collect.world import Broken, Fate, Helm, Server, World, broken

TEXTS = {str(uid): f"Subject: {uid}\r\n\r\nbody {uid}\r\n".encode() for uid in range(1, 6)}


def world(mode: Mode = "new-keep", protocol: str = "imap", count: int = 5) -> World:
    texts = {str(uid): f"Subject: {uid}\r\n\r\nbody\r\n".encode() for uid in range(1, count + 1)}
    made = World(Server(protocol, texts))
    made.task = replace(made.task, mode=mode)
    return made


SUBSETS = [set(keys) for keys in chain(*(combinations(TEXTS, size) for size in range(1, 5)))]


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_whichever_messages_end_the_connection_the_others_come(protocol: str, mode: Mode) -> None:
    for breaking in SUBSETS:
        made = world(mode, protocol)
        made.server.breaking = breaking
        collected = 0
        for _ in range(8):
            report = made.session()
            made.now += timedelta(days=8)
            collected += report.collected
        assert collected == 5 - len(breaking), breaking
        assert report.outcome is Outcome.SUCCEEDED, (breaking, report)
        known = made.ledger.known("sales", made.server.folder)
        assert {key for key, entry in known.items() if entry.attempts > 2} == breaking
        assert set(made.server.messages) == (set(TEXTS) if mode == "new-keep" else breaking)


def test_messages_that_fail_again_and_again_cost_some_connections_each_session() -> None:
    made = world(count=60)
    made.server.breaking = {str(uid) for uid in range(1, 60, 2)}
    logins = []
    for _ in range(6):
        helm = Helm(ignores_pauses=True)
        made.session(helm=helm)
        logins.append(helm.logins)
    assert len(made.mailboxes.texts()) == 30
    assert max(logins[3:]) <= 12, logins


def test_where_nothing_more_comes_no_message_is_blamed() -> None:
    made = world()
    made.server.until = 3
    report = made.session()
    assert report.collected == 3
    known = made.ledger.known("sales", made.server.folder)
    assert [(known[key].state, known[key].attempts) for key in ("4", "5")] == [
        (MessageState.SUSPECT, 0)
    ] * 2


def test_a_folder_that_fails_by_itself_fails_the_session_that_has_no_other_one() -> None:
    made = world()
    report = made.session(Fate(on=("fetch", 1), error=lambda: FolderFailed("INBOX: renumbered")))
    assert report.error is not None
    assert (report.outcome, report.error.message) == (Outcome.FAILED, "INBOX: renumbered")


def test_what_ended_the_connection_is_told_where_no_other_one_can_be_made() -> None:
    made = world()
    fate = Broken(only=("half a message", "reconnect"), most=1, error=broken)
    fate.error = iter([broken(), ConnectionFailed("no route to host")]).__next__
    fate.most = 2
    report = made.session(fate)
    assert report.error is not None
    assert report.error.message == str(broken())


def test_a_server_that_lets_nobody_in_again_is_asked_once() -> None:
    made = world("new-delete")
    fate = Broken(only=("half a message", "reconnect"), most=2)
    fate.error = iter([broken(), Throttled("come back later")]).__next__
    report = made.session(fate)
    assert report.error is not None
    assert report.error.message == "come back later"
    assert fate.steps.count("reconnect") == 1


def test_a_message_that_ends_the_connection_when_it_is_deleted_is_tried_twice() -> None:
    made = world("new-delete", count=1)
    fate = Broken(only=("before delete",), most=100, error=broken)
    report = made.session(fate)
    assert fate.steps.count("before delete") == 2
    assert (report.outcome, report.collected, report.deleted) == (Outcome.SUCCEEDED, 1, 0)
    assert "their deletion was refused" in report.notes[-1]


@pytest.mark.parametrize("limit", [100, 3])
def test_P1_without_uidl_nothing_is_remembered_by_its_number(limit: int) -> None:
    """The number is another message's in the next session."""
    made = world("all-delete", "pop3")
    made.task = replace(made.task, limit=limit)
    made.server.uidl = False
    made.session(Fate(on=("half a message", 2), error=broken))
    assert not [key for _, key, _ in made.ledger.rows if key.startswith("#")]


def test_a_message_that_is_blamed_once_waits_alone_for_the_next_session() -> None:
    made = world()
    made.server.breaking = {"2"}
    made.session()
    known = made.ledger.known("sales", made.server.folder)
    assert (known["2"].state, known["2"].attempts) == (MessageState.SUSPECT, 0)
    made.session()
    known = made.ledger.known("sales", made.server.folder)
    assert (known["2"].state, known["2"].attempts) == (MessageState.UNFETCHED, 1)


def test_a_message_that_is_refused_for_good_shows_that_the_server_answers() -> None:
    made = world(count=2)
    made.server.final, made.server.breaking = {"1"}, {"2"}
    report = made.session()
    assert (report.outcome, report.parked) == (Outcome.SUCCEEDED, 1)


@pytest.mark.parametrize(("ahead", "collected"), [(1, 4), (2, 4), (3, 5)])
def test_of_many_on_their_way_none_waits_for_the_next_session(ahead: int, collected: int) -> None:
    made = world()
    made.server.ahead = ahead
    report = made.session(Fate(on=("fetch", 2), error=broken))
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, collected)
    assert made.session().collected == 5 - collected


def test_that_suspects_are_not_asked_for_is_told() -> None:
    made = world("new-delete", "pop3")
    made.server.breaking = {"2"}
    made.session()
    made.server.messages |= {key: b"Subject: new\r\n\r\n" + key.encode() for key in ("6", "7")}
    report = made.session(Broken(only=("reconnect",), most=1, error=broken))
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, 2)
    assert any("1 messages that may have ended a connection" in note for note in report.notes)


def test_a_collected_message_that_cannot_be_compared_is_given_up_and_stays() -> None:
    made = world()
    made.session()
    made.server.validity = 2
    made.server.breaking = {"1"}
    made.task = replace(made.task, mode="new-delete")
    reasons = []
    for _ in range(8):
        made.session()
        made.now += timedelta(days=8)
        entry = made.ledger.known("sales", made.server.folder)["1"]
        assert entry.state is MessageState.PRESUMED
        reasons.append(entry.reason)
    assert set(made.server.messages) == {"1"}
    assert reasons[:4] == [""] * 4
    assert reasons[-1] == f"it cannot be compared: {broken()}"
    assert len(made.mailboxes.texts()) == 5


def test_a_stretch_of_messages_that_do_not_come_hides_none_behind_it() -> None:
    made = world(count=40)
    made.server.breaking = {str(uid) for uid in range(1, 11)}
    assert made.session().collected == 30


def test_the_only_message_is_blamed_for_what_happens_to_it() -> None:
    made = world(count=1)
    made.server.refuse = {"1"}
    report = made.session()
    assert (report.outcome, report.failed) == (Outcome.SUCCEEDED, 1)
    assert made.ledger.known("sales", made.server.folder)["1"].attempts == 1


def test_where_two_are_refused_and_none_ever_came_it_may_be_the_server() -> None:
    made = world(count=2)
    made.server.refuse = {"1", "2"}
    report = made.session()
    assert report.outcome is Outcome.FAILED
    known = made.ledger.known("sales", made.server.folder)
    assert [entry.attempts for entry in known.values()] == [0, 0]


def test_a_server_that_gives_nothing_any_longer_fails_soon_and_no_message_is_blamed() -> None:
    made = world()
    made.session()
    made.server.messages |= {str(uid): b"Subject: new\r\n\r\n" for uid in range(6, 40)}
    made.server.breaking = set(made.server.messages)
    helm = Helm()
    report = made.session(helm=helm)
    assert report.outcome is Outcome.FAILED
    assert helm.logins < 8
    known = made.ledger.known("sales", made.server.folder)
    assert {entry.attempts for entry in known.values()} == {0}


def test_a_message_that_broke_the_connection_is_a_suspect_once_another_came() -> None:
    made = world()
    made.server.breaking = {"3"}
    assert made.session().collected == 4
    entry = made.ledger.known("sales", made.server.folder)["3"]
    assert (entry.state, entry.reason) == (
        MessageState.SUSPECT,
        "mail.example.org:1: the connection broke",
    )


def test_an_error_at_one_message_is_recorded_with_the_message() -> None:
    def refuse(_: bytes) -> Routing:
        raise PolicyRefused("no")

    made = world(count=2)
    made.task = replace(made.task, route=refuse)
    assert made.session().outcome is Outcome.FAILED
    entry = made.ledger.known("sales", made.server.folder)["1"]
    assert (entry.state, entry.attempts, entry.reason) == (MessageState.FAILED, 1, "no")
