"""Messages that a server cannot deliver: whatever it does instead, the others are collected, and it
alone is parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from reconciler.model.outcomes import Entry, MessageState, Outcome, SessionReport
from tests.collect.accounts import HASTY, PATIENT, Account, Mode
from tests.servers.mailbox import KINDS, Mailbox, Poison, close
from tests.servers.scripted import Client

Protocol = Literal["imap", "pop3"]
PROTOCOLS: list[Protocol] = ["imap", "pop3"]


def text(uid: int) -> bytes:
    return f"Subject: message {uid}\r\n\r\nbody of {uid}\r\n{'x' * 40}\r\n".encode()


@dataclass
class Case:
    """An account on a scripted server, with what it held at first."""

    box: Mailbox
    account: Account
    host: str
    port: int

    def __post_init__(self) -> None:
        self.whole = dict(self.box.messages)

    def session(self) -> SessionReport:
        return self.account.session(self.host, self.port)

    def key(self, uid: int) -> str:
        return str(uid) if self.account.protocol == "imap" else f"u{uid}"

    def known(self) -> Mapping[str, Entry]:
        """What the ledger knows."""
        return self.account.ledger.known("sales", self.account.folder(self.host, self.port))

    def missing(self) -> set[int]:
        """What was not delivered. Nothing may be doubled or changed, and nothing deleted that was
        not delivered."""
        delivered = self.account.delivered()
        assert delivered <= Counter(self.whole.values())
        missing = {uid for uid, body in self.whole.items() if not delivered[body]}
        assert missing <= set(self.box.messages)
        return missing


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[Any]:
    """Makes a `Case`."""
    opened: list[Any] = []

    def make(
        protocol: Protocol,
        mode: Mode = "new-keep",
        count: int = 12,
        poisons: Mapping[int, Poison] | None = None,
        limit: int = 0,
        **box: Any,
    ) -> Case:
        made = Mailbox({uid: text(uid) for uid in range(1, count + 1)}, poisons or {}, **box)
        server = made.serve(protocol).__enter__()  # closed below
        hasty = any(poison is KINDS["silence"] for poison in (poisons or {}).values())
        account = Account(tmp_path, protocol, mode, limit, limits=HASTY if hasty else PATIENT)
        opened.extend([server, account])
        return Case(made, account, server.host, server.port)

    yield make
    for thing in opened:
        if isinstance(thing, Account):
            thing.close()
        else:
            thing.__exit__(None, None, None)


def words(kind: str) -> str:
    """Of the server, or of us where it says nothing."""
    return {
        "goodbye": "FETCH failed",
        "unavailable": "Server error while fetching",
        "refused": "cannot read it",
        "bad": "cannot parse that",
    }.get(kind, "")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, "new-delete") for kind in KINDS),
        ("close", "new-keep"),
        ("unavailable", "new-keep"),
        ("goodbye", "all-delete"),
    ],
)
def test_a_poison_is_only_one_message(
    cases: Any, kind: str, protocol: Protocol, mode: Mode
) -> None:
    case: Case = cases(protocol, mode, poisons={5: KINDS[kind]})
    first, second = case.session(), case.session()
    assert case.missing() == {5}
    assert first.outcome is second.outcome is Outcome.SUCCEEDED, (first, second)
    assert first.parked == second.parked == 0
    reports = [case.session() for _ in range(5)]
    assert {report.outcome for report in reports} == {Outcome.SUCCEEDED}, reports
    parked = case.account.parked()
    assert list(parked) == [case.key(5)]
    assert words(kind) in parked[case.key(5)].reason
    assert case.missing() == {5}
    assert reports[-1].parked == 1
    assert set(case.box.messages) == ({5} if mode != "new-keep" else set(case.whole))
    assert case.box.logins <= 2 * 7 + 1


@pytest.mark.parametrize(
    ("mode", "limit", "kinds"),
    [
        ("new-keep", 0, "close lies refused"),
        ("new-delete", 0, "reset unavailable left-out"),
        ("all-delete", 0, "goodbye cut nil"),
        ("new-keep", 100, "close bye-code bad"),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_three_among_a_thousand(
    cases: Any, protocol: Protocol, mode: Mode, limit: int, kinds: str
) -> None:
    """What it costs is printed: pytest -s."""
    bad = (100, 500, 501)
    case: Case = cases(
        protocol,
        mode,
        1000,
        {uid: KINDS[kind] for uid, kind in zip(bad, kinds.split(), strict=True)},
        limit,
    )
    logins = []
    for _ in range(2 if limit == 0 else 11):
        report = case.session()
        logins.append(case.box.logins)
    assert case.missing() == set(bad)
    while len(case.account.parked()) < len(bad) and len(logins) < 20:
        report = case.session()
        logins.append(case.box.logins)
    assert report.parked == len(bad)
    assert case.missing() == set(bad)
    sessions = [after - before for before, after in pairwise([0, *logins])]
    print(f"{protocol} {mode} limit {limit} ({kinds}): logins of each session {sessions}")
    assert sum(sessions) <= 13 + 7 * len(bad)


@pytest.mark.parametrize(
    "at",
    [
        {1},
        {12},
        {5, 6},
        {1, 12},
        {4, 5, 6, 7},
        {1, 2, 3, 4, 5, 6},
        {7, 8, 9, 10, 11, 12},
        {1, 2, 3, 10, 11, 12},
        {1, 3, 5, 7, 9, 11},
        {3, 6, 9, 12},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["close", "goodbye"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wherever_they_stand(cases: Any, protocol: Protocol, kind: str, at: set[int]) -> None:
    case: Case = cases(protocol, "new-delete", poisons=dict.fromkeys(at, KINDS[kind]))
    for _ in range(2):
        case.session()
    assert case.missing() == at
    for _ in range(5):
        case.session()
    assert set(case.account.parked()) == set(map(case.key, at))
    assert case.missing() == at
    assert set(case.box.messages) == at


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("bad", "count"),
    [(range(10, 301, 10), 300), (range(101, 201), 300), (range(1, 101), 300)],
    ids=["every tenth", "a hundred in the middle", "the first hundred"],
)
def test_many_of_them(cases: Any, protocol: Protocol, bad: range, count: int) -> None:
    case: Case = cases(protocol, "new-delete", count, dict.fromkeys(bad, KINDS["close"]))
    assert case.session().outcome is Outcome.SUCCEEDED
    case.session()
    assert case.missing() == set(bad)
    assert set(case.box.messages) == set(bad)
    assert case.box.logins <= 2 * 25 + count // 10


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_that_was_unlucky_once_among_those_that_always_fail(
    cases: Any, protocol: Protocol, turn: int
) -> None:
    """Whatever the order in which the next session asks for them."""
    calls: list[bytes] = []

    def once(client: Client, answer: bytes) -> bool:
        calls.append(answer)
        if len(calls) == 1:
            return close(client, answer)
        client.send(answer)
        return True

    case: Case = cases(
        protocol, "new-keep", 60, {19: once, 30: close, 40: KINDS["lies"], 41: KINDS["refused"]}
    )
    case.account.now += timedelta(seconds=turn)
    case.session()
    case.session()
    assert case.missing() == {30, 40, 41}
    assert case.account.parked() == {}


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
def test_what_a_reset_takes_along_on_its_way_is_nobody_s_fault(cases: Any, mode: Mode) -> None:
    """A server that closes while a command is unread resets the connection: what it had sent is
    lost in part."""
    case: Case = cases("imap", mode, 400, {150: KINDS["reset"]})
    case.session()
    suspects = {key for key, entry in case.known().items() if entry.state is MessageState.SUSPECT}
    assert suspects == {"150"}
    assert case.missing() == {150}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_fails_for_all_later_on_is_not_charged_to_those_that_failed_before(
    cases: Any, protocol: Protocol
) -> None:
    case: Case = cases(protocol, "new-keep", poisons={5: KINDS["close"]})
    case.session()
    case.session()
    attempts = case.known()[case.key(5)].attempts
    case.box.poisons = dict.fromkeys(case.whole, KINDS["close"])
    for _ in range(6):
        assert case.session().outcome is Outcome.FAILED
    assert case.known()[case.key(5)].attempts == attempts == 1
    case.box.poisons = {}
    assert (case.session().collected, case.missing()) == (1, set())


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_that_cannot_be_deleted_keeps_no_other_one(
    cases: Any, protocol: Protocol, closes: bool
) -> None:
    case: Case = cases(
        protocol, "new-delete", 20, undeletable=frozenset({12}), closes_at_deletion=closes
    )
    for _ in range(5 if closes else 1):
        assert case.session().outcome is Outcome.SUCCEEDED
        assert case.missing() == set()
    assert set(case.box.messages) == {12}
    assert case.box.logins <= (25 if closes else 1)


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
def test_an_ok_without_a_message_gives_none_another_ones_content(cases: Any, mode: Mode) -> None:
    """By POP3, where the next reply would be taken for it."""

    def forgetful(client: Client, answer: bytes) -> bool:
        client.send(b"+OK\r\n")
        return True

    case: Case = cases("pop3", mode, poisons={1: forgetful, 7: forgetful})
    case.account.limits = HASTY
    case.session()
    case.session()
    assert case.missing() == {1, 7}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_refuses_whatever_comes_after_ten_messages(
    cases: Any, protocol: Protocol
) -> None:
    """A limit for each connection is nothing that messages could be blamed for."""
    given: list[int] = []

    def limited(client: Client, answer: bytes) -> bool:
        if given[:1] != [case.box.connections]:
            given[:] = [case.box.connections]
        given.append(1)
        if len(given) > 11:
            return KINDS["refused"](client, answer)
        client.send(answer)
        return True

    case: Case = cases(protocol, "new-delete", 60, dict.fromkeys(range(1, 61), limited))
    for _ in range(8):
        case.session()
    assert case.missing() == set()
    assert case.account.parked() == {}
