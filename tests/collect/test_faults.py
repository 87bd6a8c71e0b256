"""Servers that fail for everybody, end connections for reasons of their own, fail at deleting,
listing, one folder."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.outcomes import Outcome
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import open_imap
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from tests.collect.accounts import Account
from tests.collect.test_poison import PROTOCOLS, Case, Protocol, cases, text
from tests.servers.mailbox import KINDS, close, refuses, says_goodbye
from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import BODIES, SELECTED, Reply, fetched, imap, sizes, tagged

__all__ = ["cases"]  # a fixture

OK = b"TAG OK done\r\n"


# Servers that fail for everybody


@pytest.mark.parametrize("kind", ["close", "refused", "unavailable", "goodbye", "left-out"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_nothing_comes_nobody_is_blamed(cases: Any, protocol: Protocol, kind: str) -> None:
    case: Case = cases(protocol, "new-delete", poisons=dict.fromkeys(range(1, 13), KINDS[kind]))
    reports = [case.session() for _ in range(7)]
    assert {report.outcome for report in reports} == {Outcome.FAILED}
    assert {(report.parked, report.failed, report.collected) for report in reports} == {(0, 0, 0)}
    assert {entry.attempts for entry in case.known().values()} <= {0}
    assert case.box.logins <= 4 * len(reports)
    case.box.poisons = {}
    case.session()
    case.session()
    assert case.missing() == set()


def test_a_server_that_asks_for_a_pause_for_everything_is_throttling(cases: Any) -> None:
    case: Case = cases(
        "imap", poisons=dict.fromkeys(range(1, 13), refuses(b"NO [LIMIT] slow down"))
    )
    report = case.session()
    assert report.error is not None
    assert report.error.reason == "Throttled"
    assert "slow down" in report.error.message


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_only_message_is_put_off_in_the_end_and_comes_when_it_can(
    cases: Any, protocol: Protocol
) -> None:
    """M5: a bad network, or a poison; nobody can tell. It is not parked for good."""
    case: Case = cases(protocol, "new-delete", 1, poisons={1: close})
    case.account.ignores_pauses = False
    reports = [case.session() for _ in range(6)]
    assert [report.outcome for report in reports] == [Outcome.FAILED] * 6
    assert (reports[-1].parked, list(case.account.parked())) == (1, [case.key(1)])
    asked = len(case.box.asked)
    assert case.session().outcome is Outcome.SUCCEEDED
    assert not any(b"BODY" in line or b"RETR" in line for line in case.box.asked[asked:])
    case.box.poisons = {}
    case.account.now += timedelta(minutes=59)
    assert case.session().parked == 1
    case.account.now += timedelta(minutes=2)
    assert (case.session().collected, case.missing()) == (1, set())


def test_pauses_grow_and_do_not_count_where_a_session_was_asked_for(cases: Any) -> None:
    case: Case = cases("imap", "new-keep", poisons={3: close})
    case.account.ignores_pauses = False
    for _ in range(6):
        case.session()
    for hours in (1, 2, 4, 8, 16, 24, 24):
        asked = len(case.box.asked)
        case.account.now += timedelta(hours=hours, minutes=-1)
        assert (case.session().parked, b"BODY" in b"".join(case.box.asked[asked:])) == (1, False)
        case.account.now += timedelta(minutes=2)
        assert (case.session().parked, b"BODY" in b"".join(case.box.asked[asked:])) == (1, True)
    case.box.poisons = {}
    case.account.ignores_pauses = True
    assert (case.session().collected, case.missing()) == (1, set())


# Connections that end for other reasons


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_closes_after_so_many_messages_has_no_poison_in_it(
    cases: Any, protocol: Protocol
) -> None:
    case: Case = cases(protocol, "new-delete", 120, closes_after=10)
    while case.missing():
        report = case.session()
        assert report.collected > 0
        assert (report.failed, report.parked) == (0, 0)
    assert case.box.messages == {}
    assert {entry.attempts for entry in case.known().values()} <= {0}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_fails_at_random(cases: Any, protocol: Protocol) -> None:
    chance = random.Random(5)  # a test's

    def perhaps(client: Client, answer: bytes) -> bool:
        if chance.random() < 0.1:
            return close(client, answer)
        client.send(answer)
        return True

    case: Case = cases(protocol, "new-delete", 80, poisons=dict.fromkeys(range(1, 81), perhaps))
    for _ in range(6):
        report = case.session()
        assert report.parked == 0
    assert case.missing() == set()
    assert case.box.messages == {}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_another_login_is_refused_the_next_session_goes_on(
    cases: Any, protocol: Protocol
) -> None:
    case: Case = cases(protocol, "new-delete", poisons={5: close})
    for logins in range(1, 9):
        case.box.limit_of_logins = case.box.logins + 1
        report = case.session()
        assert case.box.logins <= 2 * logins
        if logins == 2:
            assert case.missing() == {5}
    assert (report.parked, set(case.box.messages) - {6}) == (
        1,
        {5},
    )  # 6: to see whether anything comes
    case.box.limit_of_logins = 0
    case.session()
    assert set(case.box.messages) == {5}


def test_a_poison_only_for_what_is_asked_for_ahead(
    cases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is one command at a time, everything comes."""
    monkeypatch.setattr("reconciler.sources.imap.body_fetch.WINDOW_COUNT", 4)
    case: Case = cases("imap", "new-delete", 12)

    def crowded(command: bytes) -> bool:
        return (
            b"BODY" in command
            and len(case.box.asked) > 1
            and b"BODY" in case.box.asked[-2]
            and case.box.logins == 1
        )

    case.box.fails = crowded
    case.session()
    case.session()
    assert case.missing() == set()


# Deleting


@pytest.mark.parametrize("verb", [b"UID STORE", b"UID EXPUNGE", b"UID SEARCH"])
def test_what_fails_at_deleting_keeps_no_new_mail_away(cases: Any, verb: bytes) -> None:
    case: Case = cases("imap", "new-delete", fails=lambda command: command.startswith(verb))
    for _ in range(2):
        case.session()
    assert case.missing() == set()
    case.box.messages[99] = case.whole[99] = text(99)
    case.box.next_uid = 100
    report = case.session()
    assert case.missing() == set()
    assert report.outcome is Outcome.SUCCEEDED
    assert any("stay on the server" in note for note in report.notes) or not case.box.messages
    case.box.fails = lambda _: False
    case.session()
    assert case.box.messages == {}


def test_one_message_that_cannot_be_deleted_is_only_one(cases: Any) -> None:
    def poisonous(command: bytes) -> bool:
        return command.startswith(b"UID STORE") and 5 in {
            uid
            for term in command.split()[2].split(b",")
            for uid in range(int(term.split(b":")[0]), int(term.split(b":")[-1]) + 1)
        }

    case: Case = cases("imap", "new-delete", fails=poisonous)
    for _ in range(4):
        assert case.session().outcome is Outcome.SUCCEEDED
    assert case.missing() == set()
    assert set(case.box.messages) == {5}


@pytest.mark.parametrize("verb", [b"DELE", b"QUIT"])
def test_pop3_that_fails_at_deleting_keeps_no_new_mail_away(cases: Any, verb: bytes) -> None:
    case: Case = cases("pop3", "new-delete", fails=lambda command: command.startswith(verb))
    case.session()
    case.box.messages[99] = case.whole[99] = text(99)
    case.session()
    assert case.missing() == set()
    case.box.fails = lambda _: False
    case.session()
    assert case.box.messages == {}


# Headers, after a change of the account


def test_a_poison_for_headers_alone(cases: Any) -> None:
    case: Case = cases("imap", "new-keep")
    case.session()
    moved = Account(case.account.directory, "imap", "new-keep")
    case.box.validity = 8  # the server numbers its messages anew
    case.box.fails = lambda command: b"HEADER" in command
    report = moved.session(case.host, case.port)
    assert (report.outcome, report.collected, report.skipped_reasons) == (
        Outcome.SUCCEEDED,
        0,
        {"collected-before": 12},
    )
    moved.close()
    assert case.missing() == set()


# One folder of several

FOLDERS = b'* LIST () "/" INBOX\r\n* LIST () "/" a\r\n* LIST () "/" b\r\n' + OK
EMPTY = SELECTED.replace(b"* 3 EXISTS", b"* 0 EXISTS")


def hang_up(client: Client, line: bytes) -> None:
    client.close()


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Any]:
    """Collects from INBOX, a and b, each with the same three messages; and how often."""
    account = Account(tmp_path, "imap", folders=("INBOX", "a", "b"))

    def collect(replies: Mapping[str, Reply | Sequence[Reply]], sessions: int = 1) -> Any:
        usual: dict[str, Reply] = {
            "LIST": FOLDERS,
            "UID FETCH 1:2,5 (UID BODY": b"".join(
                fetched(uid, body) for uid, body in BODIES.items()
            )
            + OK,
        }
        with Scripted(imap(usual | dict(replies))) as server:
            reports = [account.session(server.host, server.port) for _ in range(sessions)]
        return reports[-1]

    yield collect
    account.close()


@pytest.mark.parametrize(
    "fault",
    [
        {'EXAMINE "a"': SELECTED.replace(b"* OK [UIDVALIDITY 77] ok\r\n", b"")},
        {'EXAMINE "a"': SELECTED.replace(b"77", b"0")},
        {'EXAMINE "a"': b"TAG NO [NOPERM] not yours\r\n"},
        {'EXAMINE "a"': b"TAG NO [UNAVAILABLE] broken index\r\n"},
        {'EXAMINE "a"': b"TAG BAD no idea\r\n"},
        {'EXAMINE "a"': b"* BYE [SERVERBUG] index is corrupt\r\n"},
        {'EXAMINE "a"': hang_up},
        {
            "UID FETCH 1:*": [
                sizes((uid, 20) for uid in BODIES) + OK,
                b"TAG NO Some messages could not be FETCHed\r\n",
                sizes((uid, 20) for uid in BODIES) + OK,
            ]
        },
        {'EXAMINE "a"': [SELECTED, b"TAG NO it vanished\r\n"]},
        {'EXAMINE "a"': [SELECTED, SELECTED.replace(b"77", b"78")]},
    ],
    ids=range(10),
)
def test_a_fault_of_one_folder_is_that_folder_s(folders: Any, fault: dict[str, Reply]) -> None:
    report = folders(fault)
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, 6), report
    assert any('"a"' in note for note in report.notes), report.notes


@pytest.mark.parametrize(
    "fault", [hang_up, b"* BYE [SERVERBUG] index is corrupt\r\n", b"garbage\r\n"]
)
def test_folders_that_end_the_connection_keep_no_other_one_away(folders: Any, fault: Reply) -> None:
    report = folders({'EXAMINE "a"': fault, 'EXAMINE "b"': fault}, sessions=2)
    assert (report.outcome, report.skipped_reasons) == (
        Outcome.SUCCEEDED,
        {"collected-before": 3},
    ), report
    assert [
        name for name in ("a", "b") if not any(f'"{name}"' in note for note in report.notes)
    ] == []


@pytest.mark.parametrize("first", [True, False])
def test_very_many_folders_that_end_the_connection_are_looked_at_last(*, first: bool) -> None:
    good, bad = ["INBOX", "good"], [f"bad{number}" for number in range(8)]
    names = [*good, *bad] if first else [*bad[:2], *good, *bad[2:]]
    accounts = AccountMemories()
    replies: dict[str, Reply] = {
        "LIST": b"".join(b'* LIST () "/" %s\r\n' % name.encode() for name in names) + OK,
        'EXAMINE "bad': b"* BYE broken\r\n",
    }
    with Scripted(imap(replies)) as server:
        for _ in range(2):
            spec = {
                "protocol": "imap",
                "host": server.host,
                "port": server.port,
                "username": "user",
                "tls": "none",
                "password": {"env": "UNUSED"},
                "folders": names,
            }
            source = open_imap(
                SourceSpec.model_validate(spec), Secret("secret"), Limits(), accounts
            )
            listings = list(source.listings(writable=False))
            assert sorted(listing.folder.name for listing in listings) == good
            assert sum('"bad' in note for note in listings[0].notes) == len(bad)
            source.finish()
        examined = [line.partition(b" ")[2] for line in server.lines if b"EXAMINE" in line]
        assert examined[-8:-6] == [b'EXAMINE "INBOX"', b'EXAMINE "good"']


def test_a_listing_that_ends_the_connection_is_asked_for_in_another_way(folders: Any) -> None:
    whole = sizes((uid, 20) for uid in BODIES) + OK
    report = folders(
        {"UID FETCH 1:*": [whole, hang_up, whole], "UID FETCH 1:2,5 (UID RFC822": whole}
    )
    assert (report.outcome, report.collected) == (Outcome.SUCCEEDED, 9), report


def test_a_folder_that_is_numbered_anew_in_the_middle_of_a_fetch(folders: Any) -> None:
    bodies = b"".join(fetched(uid, body) for uid, body in BODIES.items()) + OK
    report = folders(
        {
            "UID FETCH 1:2,5 (UID BODY": [
                bodies,
                fetched(1, BODIES[1])
                + b"* OK [UIDVALIDITY 78] new\r\n"
                + fetched(2, BODIES[2])
                + OK,
                bodies,
            ]
        }
    )
    assert report.outcome is Outcome.SUCCEEDED
    assert report.collected >= 6
    assert any("numbered anew" in note for note in report.notes)


def test_a_poison_in_the_second_folder(folders: Any) -> None:
    bodies = b"".join(fetched(uid, body) for uid, body in BODIES.items()) + OK
    calls: list[bytes] = []

    def second(client: Client, line: bytes) -> None:
        calls.append(line)
        if len(calls) != 2:
            client.send(tagged(line, bodies))
        else:
            client.send(fetched(1, BODIES[1]))
            client.close()

    def alone(client: Client, line: bytes) -> None:
        if b" 5 " in line:
            client.send(tagged(line, fetched(5, BODIES[5]) + OK))
        else:
            client.close()

    report = folders(
        {
            "UID FETCH 1:2,5 (UID BODY": second,
            "UID FETCH 2 (UID BODY": hang_up,
            "UID FETCH 5 (UID BODY": alone,
        }
    )
    assert (report.outcome, report.collected, report.left) == (Outcome.SUCCEEDED, 8, 1)


def test_a_folder_of_which_nothing_comes_is_that_folder_s(folders: Any) -> None:
    def but_in_a(uids: Sequence[int]) -> Reply:
        def reply(client: Client, line: bytes) -> None:
            opened = [sent for sent in client._lines if b"EXAMINE" in sent][-1]
            if b'"a"' in opened:
                client.close()
            else:
                client.send(tagged(line, b"".join(fetched(uid, BODIES[uid]) for uid in uids) + OK))

        return reply

    report = folders(
        {
            "UID FETCH 1:2,5 (UID BODY": but_in_a([1, 2, 5]),
            **{f"UID FETCH {uid} (UID BODY": but_in_a([uid]) for uid in BODIES},
        },
        sessions=2,
    )
    assert (report.left, report.parked) == (3, 0), report
    assert report.skipped_reasons == {"collected-before": 6}, report


# Listings


def test_a_listing_that_is_broken_off_counts_as_far_as_it_came(folders: Any) -> None:
    broken = sizes([(1, 20), (5, 20)]) + b"TAG NO Some messages could not be FETCHed (Failure)\r\n"
    bodies = fetched(1, BODIES[1]) + fetched(5, BODIES[5]) + OK
    report = folders({"UID FETCH 1:*": broken, "UID FETCH 1,5 (UID BODY": bodies}, sessions=2)
    assert (report.outcome, report.skipped_reasons) == (Outcome.SUCCEEDED, {"collected-before": 6})
    assert sum("broke off the listing" in note for note in report.notes) == 3


def test_words_of_goodbye_are_shown(cases: Any) -> None:
    case: Case = cases("imap", poisons={5: says_goodbye(b"Message 5 is beyond repair")})
    for _ in range(6):
        case.session()
    assert "beyond repair" in case.account.parked()["5"].reason
