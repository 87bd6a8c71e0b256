"""Who may begin a session, in virtual time: per-host limits of sessions and of logins, and turns
between hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from reconciler.control.admission import Admission
from reconciler.control.host_health import SessionTarget
from reconciler.control.host_limits import (
    ELSEWHERE,
    HostLimits,
    canonical_host,
    limits,
    provider_limits,
)
from reconciler.control.host_queues import Ticket
from reconciler.model.errors import ConnectionFailed
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from tests.control.virtual import virtual


class Entrance:
    """Admits sessions of `length` seconds; when each began, by host."""

    def __init__(self, limit: HostLimits, *, sessions: int = 100, length: float = 0.5) -> None:
        self.admission = Admission(sessions, lambda _: limit)
        self.length = length
        self.began: dict[str, list[float]] = {}

    def ask(self, host: str, *, urgent: bool = False) -> None:
        self.admission.request(place(host), lambda ticket: self._begin(host, ticket), urgent=urgent)

    def _begin(self, host: str, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        self.began.setdefault(host, []).append(round(loop.time(), 3))
        self.admission.entered(ticket)
        loop.call_later(self.length, self.admission.release, ticket)


def place(host: str) -> SessionTarget:
    return SessionTarget(canonical_host(host), 993)


def test_R4_logins_are_spaced_evenly_and_no_minute_has_more() -> None:
    async def scenario() -> Sequence[float]:
        entrance = Entrance(HostLimits(8, 30))
        for _ in range(100):
            entrance.ask("imap.example.org")
        await asyncio.sleep(300)
        return entrance.began["imap.example.org"]

    began = virtual(scenario)
    assert began == [2.0 * number for number in range(100)]


def test_R4_a_host_that_rests_delays_nobody_else() -> None:
    async def scenario() -> None:
        entrance = Entrance(HostLimits(2, None), sessions=4, length=10)
        for _ in range(6):
            entrance.ask("slow.example.org")
        entrance.ask("other.example.org")
        await asyncio.sleep(0)
        assert entrance.began == {"slow.example.org": [0, 0], "other.example.org": [0]}
        await asyncio.sleep(30)
        assert entrance.began["slow.example.org"] == [0, 0, 10, 10, 20, 20]

    virtual(scenario)


def test_who_is_asked_for_comes_before_the_others_of_a_host() -> None:
    async def scenario() -> None:
        order: list[str] = []
        admission = Admission(9, lambda _: HostLimits(9, 60))

        def begin(ticket: Ticket, name: str) -> None:
            order.append(name)
            admission.entered(ticket)

        for name in ("first", "second"):
            admission.request(place("h"), lambda ticket, name=name: begin(ticket, name))  # type: ignore[misc]
        admission.request(place("h"), lambda ticket: begin(ticket, "urgent"), urgent=True)
        await asyncio.sleep(3)
        assert order == ["first", "urgent", "second"]

    virtual(scenario)


def test_a_place_that_was_given_up_costs_no_login() -> None:
    async def scenario() -> None:
        entrance = Entrance(HostLimits(9, 60))
        entrance.ask("h")
        given_up = entrance.admission.request(
            place("h"), lambda _: pytest.fail("admitted all the same")
        )
        entrance.ask("h")
        entrance.admission.cancel(given_up)
        await asyncio.sleep(5)
        assert entrance.began["h"] == [0, 1]

    virtual(scenario)


def test_a_second_login_of_a_session_counts() -> None:
    async def scenario() -> None:
        entrance = Entrance(HostLimits(9, 60))
        tickets: list[Ticket] = []
        entrance.admission.request(place("h"), tickets.append)
        entrance.admission.another_login(tickets[0])
        entrance.admission.entered(tickets[0])
        entrance.ask("h")
        await asyncio.sleep(5)
        assert entrance.began["h"] == [2]

    virtual(scenario)


def test_all_spellings_of_a_host_share_its_limit() -> None:
    async def scenario() -> None:
        entrance = Entrance(HostLimits(1, None), length=1)
        for host in ("imap.почта.рф", "IMAP.xn--80a1acny.xn--p1ai", "imap.Почта.РФ."):
            entrance.ask(host)
        await asyncio.sleep(5)
        assert sorted(at for began in entrance.began.values() for at in began) == [0, 1, 2]

    virtual(scenario)


def test_a_host_that_was_forgotten_takes_nothing_from_the_next_of_its_name() -> None:
    """Such as where the port of a server that is away is corrected."""

    async def scenario() -> None:
        admission, wrong = Admission(9, lambda _: HostLimits(8, None)), SessionTarget("h", 1)
        tickets: list[Ticket] = []
        admission.join("a", wrong, 5.0)
        admission.request(wrong, tickets.append)
        now, failure = datetime.now(UTC), Failure(ConnectionFailed.reason, "no route")
        admission.learn(tickets[0], SessionReport(now, now, Outcome.FAILED, error=failure))
        waiting = admission.request(wrong, lambda _: pytest.fail("admitted all the same"))
        admission.release(tickets[0])
        assert admission.host_health(wrong).away
        admission.cancel(waiting)
        admission.leave("a")
        admission.join("a", place("h"), 5.0)
        admission.request(place("h"), tickets.append)
        await asyncio.sleep(300)  # the host that was away would have been tried
        admission.entered(tickets[1])
        admission.release(tickets[1])
        admission.leave("a")

    virtual(scenario)


def test_nothing_is_remembered_of_hosts_without_a_login_limit() -> None:
    async def scenario() -> None:
        entrance = Entrance(HostLimits(1, None))
        for number in range(50):
            entrance.ask(f"host{number}.example.org")
        await asyncio.sleep(5)
        assert not len(entrance.admission._turns)

    virtual(scenario)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("imap.gmail.com", True),
        ("pop.googlemail.com", True),
        ("outlook.office365.com", True),
        ("imap.yandex.ru", True),
        ("imap.mail.ru", True),
        ("export.imap.mail.yahoo.com", True),
        ("imap.mail.me.com", True),
        ("gmail.com", True),
        ("notgmail.com", False),
        ("gmail.com.example.org", False),
        ("192.0.2.1", False),
        ("com", False),
    ],
)
def test_presets_go_by_the_domain_a_host_is_in(host: str, known: bool) -> None:
    assert (provider_limits(canonical_host(host)) is not ELSEWHERE) is known
    assert (provider_limits(canonical_host(host)).logins is not None) is known


def test_what_was_asked_for_replaces_the_presets() -> None:
    assert limits(3, None)("imap.gmail.com") == HostLimits(
        3, provider_limits("imap.gmail.com").logins
    )
    assert limits(None, 7)("mail.example.org") == HostLimits(ELSEWHERE.connections, 7)
    assert limits(None, None)("mail.example.org") == ELSEWHERE
