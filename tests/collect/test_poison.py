"""Messages that a server cannot deliver: whatever it does instead, the others are collected, and it alone is parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from reconciler.model.outcomes import Entry, Outcome, SessionReport
from tests.collect.accounts import Account, Mode
from tests.servers.mailbox import KINDS, Mailbox, Poison

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
        """What was not delivered. Nothing may be doubled or changed, and nothing deleted that was not delivered."""
        delivered = self.account.delivered()
        assert delivered <= Counter(self.whole.values())
        missing = {uid for uid, body in self.whole.items() if not delivered[body]}
        assert missing <= set(self.box.messages)
        return missing


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[Any]:
    """Makes a `Case`."""
    opened: list[Any] = []

    def make(protocol: Protocol, mode: Mode = "new-keep", count: int = 12, poisons: Mapping[int, Poison] | None = None,
             limit: int = 0, **box: Any) -> Case:
        made = Mailbox({uid: text(uid) for uid in range(1, count + 1)}, poisons or {}, **box)
        server = made.serve(protocol).__enter__()  # closed below
        account = Account(tmp_path, protocol, mode, limit)
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
    return {"goodbye": "FETCH failed", "unavailable": "Server error while fetching", "refused": "cannot read it",
            "bad": "cannot parse that"}.get(kind, "")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("kind", "mode"), [*((kind, "new-delete") for kind in KINDS), ("close", "new-keep"),
                                            ("unavailable", "new-keep"), ("goodbye", "all-delete")])
def test_a_poison_is_only_one_message(cases: Any, kind: str, protocol: Protocol, mode: Mode) -> None:
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
    assert case.box.logins <= 7 + 5


@pytest.mark.parametrize(("mode", "limit", "kinds"), [
    ("new-keep", 0, "close lies refused"), ("new-delete", 0, "reset unavailable left-out"),
    ("all-delete", 0, "goodbye cut nil"), ("new-keep", 100, "close bye-code bad"),
])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_three_among_a_thousand(cases: Any, protocol: Protocol, mode: Mode, limit: int, kinds: str) -> None:
    """What it costs is printed: pytest -s."""
    bad = (100, 500, 501)
    case: Case = cases(protocol, mode, 1000, {uid: KINDS[kind] for uid, kind in zip(bad, kinds.split(), strict=True)},
                       limit)
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
    assert sum(sessions) <= 13 + 5 * len(bad)


@pytest.mark.parametrize("at", [{1}, {12}, {5, 6}, {1, 12}, {4, 5, 6, 7}], ids=str)
@pytest.mark.parametrize("kind", ["close", "goodbye"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wherever_they_stand(cases: Any, protocol: Protocol, kind: str, at: set[int]) -> None:
    case: Case = cases(protocol, "new-delete", poisons=dict.fromkeys(at, KINDS[kind]))
    for _ in range(2):
        case.session()
    assert case.missing() == at
    for _ in range(5 * -(-len(at) // 2) + 1):  # where nothing else is left, a session ends with the second in a row
        case.session()
    assert set(case.account.parked()) == set(map(case.key, at))
    assert case.missing() == at
