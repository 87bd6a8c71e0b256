"""An outage belongs to its host: one collector tries, and when it gets in the others follow."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import timedelta

import pytest

from reconciler.control.session_request import SessionRequest
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure
from reconciler.model.status import ShownCollector
from reconciler.planning.desired_state import desire
from tests.control.outages import WAYS, World, many, outage
from tests.control.virtual import virtual
from tests.planning.build import destination, observed

NOTICED = 12
"""Sessions that were under way, or began, until it was noticed: what the host bears at once, and a
few."""


@pytest.mark.parametrize(
    ("way", "minutes", "interval", "every"),
    [
        *((way, 10, "5s", 5.0) for way in WAYS),
        *((way, 1, "5m", 300.0) for way in WAYS),
        ("closes before its greeting", 1, "5s", 5.0),
        ("nothing listens", 10, "5m", 300.0),
        ("swallows what is sent", 60, "5s", 5.0),
        ("NO [UNAVAILABLE] at login", 60, "5m", 300.0),
    ],
)
def test_F27_a_host_that_was_away_is_back_for_all_within_half_a_minute(
    way: str, minutes: int, interval: str, every: float
) -> None:
    """Of the table that `tests.control.outages` prints, each way, interval and length."""
    found = virtual(lambda: outage(way, minutes, every, interval))
    assert found.tried <= NOTICED + 2 * minutes
    assert all(sum(at <= other < at + 59.9 for other in found.steady) <= 2 for at in found.steady)
    assert max(found.back, default=0.0) <= (30 if every == 5 else 45)
    assert found.rate <= 100


def test_the_waiting_ones_are_shown_with_one_cause() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(20), *many(3, "other.example", prefix="o"))
        await asyncio.sleep(10)
        world.servers.way = lambda name: "nothing listens" if name.startswith("c") else None
        await asyncio.sleep(60)
        [cause] = world.outages()
        assert (cause.host, cause.port, cause.reason, cause.concerns) == (
            "imap.example",
            993,
            "ConnectionFailed",
            20,
        )
        states = [world.loops.state(f"c{number}") for number in range(20)]
        assert all(state and state.host_outage == cause for state in states)
        assert {state.next_session for state in states if state} == {
            world.clock.at(cause.next_attempt)
        }
        other = world.loops.state("o0")
        assert other
        assert other.host_outage is None
        assert len(world.starts("o0")) >= 13  # the neighbours keep their interval
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize("told", [False, True])
def test_the_next_session_of_who_waits_is_when_the_host_is_tried_and_never_long_past(
    told: bool,
) -> None:
    """For those who read now and then, and for those who are told of every change."""

    async def scenario() -> None:
        world, heard, looks = World(), dict[str, ShownCollector | None](), 0

        async def listen() -> None:
            journal, seen = world.board.events, 0
            with journal.reading() as woken:
                while True:
                    await woken.wait()
                    woken.clear()
                    changes, seen = journal.since(seen), journal.number
                    heard.update((change.name, change.collector) for change in changes)

        listening = asyncio.create_task(listen()) if told else None
        world.servers.way = lambda _: "nothing listens"
        world.declare(*many(20))
        for _ in range(300):
            await asyncio.sleep(3.1)
            shown = list(heard.values()) if told else world.board.collectors()
            for cause in world.outages():
                looks += 1
                waits = {
                    one.status.next_session for one in shown if one and one.status.next_session
                }
                assert waits == {world.clock.at(cause.next_attempt)}
                assert cause.next_attempt >= world.clock.monotonic()
        assert looks > 290
        await world.end()
        if listening is not None:
            listening.cancel()

    virtual(scenario)


def test_a_single_collector_tries_again_soon_and_less_often_after_hours() -> None:
    async def scenario() -> None:
        world = World()
        world.servers.way = lambda _: "nothing listens"
        world.declare(*many(1))
        await asyncio.sleep(24 * 3600)
        starts = world.starts("c0")
        gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert [round(gap) for gap in gaps[:4]] == [10, 30, 30, 30]
        assert max(gaps) <= 900
        assert gaps[-1] > 700  # an hour and more of it: a 120th
        assert all(gap <= max(31, at / 100) for gap, at in zip(gaps, starts[1:], strict=False))
        await world.end()

    virtual(scenario)


def test_a_session_that_is_asked_for_is_tried_at_once_and_never_refused() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(50))
        await asyncio.sleep(10)
        world.servers.way = lambda _: "nothing listens"
        await asyncio.sleep(100)
        before = len(world.servers.attempts)
        reports = await asyncio.gather(
            *(world.loops.collect_now(f"c{number}") for number in range(50))
        )
        assert len(world.servers.attempts) - before == 1  # one tries for all who ask
        assert all(report.error and report.error.reason == "ConnectionFailed" for report in reports)
        assert sum("not tried" in report.error.message for report in reports if report.error) == 49
        world.servers.way = lambda _: None
        report = await world.loops.collect_now("c7")
        assert report.error is None
        await asyncio.sleep(8)
        assert len(world.back(world.servers.logins[-1][0] - 30)) == 50
        await world.end()

    virtual(scenario)


def test_one_account_that_is_throttled_or_refused_is_its_own_trouble() -> None:
    async def scenario() -> None:
        world = World()
        WAYS["throttled"] = 0.05, Failure("Throttled", "LIMIT")
        WAYS["refused"] = 0.05, Failure("AuthenticationFailed", "no")
        try:
            world.servers.way = {"c0": "throttled", "c1": "refused"}.get
            world.declare(*many(20))
            await asyncio.sleep(100)
            assert len(world.starts("c0")) == len(world.starts("c1")) == 1
            assert all(len(world.starts(f"c{number}")) >= 19 for number in range(2, 20))
            assert not world.outages()
        finally:
            del WAYS["throttled"], WAYS["refused"]
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize(("asked", "every"), [(20.0, 20.0), (None, 300.0), (600.0, 600.0)])
def test_F27_an_address_that_is_throttled_is_throttled_for_all_its_accounts(
    asked: float | None, every: float
) -> None:
    """One asks again when the server said so, else after five minutes; the others follow."""

    async def scenario() -> None:
        world = World()
        WAYS["throttled"] = (
            0.05,
            Failure("Throttled", "from your address", retry_after=asked, of_address=True),
        )
        try:
            world.servers.way = lambda _: "throttled"
            world.declare(*many(100))
            await asyncio.sleep(every - 1)
            assert len(world.servers.attempts) <= NOTICED
            [cause] = world.outages()
            assert (cause.reason, cause.concerns) == ("Throttled", 100)
            await asyncio.sleep(every + 2)
            assert len(world.servers.attempts) <= NOTICED + 2
            world.servers.way = lambda _: None
            now = world.clock.monotonic()
            await asyncio.sleep(every + 60)
            back = world.back(now)
            assert len(back) == 100
            assert max(back.values()) - min(back.values()) <= 30
            assert min(back.values()) <= every
        finally:
            del WAYS["throttled"]
        await world.end()

    virtual(scenario)


def test_an_answered_login_is_a_host_that_is_back_whatever_the_answer() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(3))
        await asyncio.sleep(8)
        WAYS["refused"] = 0.05, Failure("AuthenticationFailed", "no")
        try:
            world.servers.way = lambda _: "nothing listens"
            await asyncio.sleep(60)
            assert world.outages()
            world.servers.way = lambda _: "refused"
            await asyncio.sleep(40)
            assert not world.outages()
        finally:
            del WAYS["refused"]
        await world.end()

    virtual(scenario)


def test_P16_who_is_turned_away_while_others_are_let_in_is_one_too_many() -> None:
    async def scenario() -> None:
        world = World()
        crowded = "closes before its greeting"
        world.servers.way = lambda _: crowded if world.servers.running["imap.example"] > 3 else None
        world.servers.length = 2.0
        world.declare(*many(40))
        await asyncio.sleep(300)
        turned = [name for name, retry in world.servers.kept.items() if retry]
        assert all(world.servers.kept[name].reason == "Throttled" for name in turned)  # type: ignore[union-attr]
        assert not world.outages()
        await asyncio.sleep(300)
        late = Counter(name for at, name in world.servers.attempts if at > 120 and at < 300)
        logins = Counter(name for at, name in world.servers.logins if at > 120 and at < 300)
        assert late.total() - logins.total() <= 4  # it is asked for fewer connections
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize("bad", [0.3, 0.5])
def test_one_of_two_servers_behind_a_name_is_dead(bad: float) -> None:
    async def scenario() -> None:
        world = World()
        turn = 0.0

        def way(_: str) -> str | None:
            nonlocal turn
            turn = (turn * 7.13 + 0.377) % 1.0
            return "nothing listens" if turn < bad else None

        world.servers.way = way
        world.declare(*many(100))
        await asyncio.sleep(120)
        before = len(world.servers.logins)
        await asyncio.sleep(120)
        good = len(world.servers.logins) - before
        assert (
            good > 100 * 120 / 60 / 2
        )  # each at least once a minute, though half of its attempts fail
        away = sum(bool(world.outages()) for _ in range(1))
        assert not away
        await world.end()

    virtual(scenario)


def test_a_host_that_flaps_is_tried_no_more_than_its_limits_and_all_get_in() -> None:
    async def scenario() -> None:
        world = World()
        world.servers.way = lambda _: (
            "nothing listens" if world.clock.monotonic() % 40 < 20 else None
        )
        world.declare(*many(100))
        await asyncio.sleep(600)
        logins = Counter(name for at, name in world.servers.logins if at > 120)
        assert len(logins) == 100
        assert min(logins.values()) >= 8
        await world.end()

    virtual(scenario)


def test_only_the_port_that_is_dead_is_away() -> None:
    async def scenario() -> None:
        world = World()
        world.servers.way = lambda name: "swallows what is sent" if name.startswith("p") else None
        world.declare(*many(20), *many(20, prefix="p", port=995))
        await asyncio.sleep(300)
        assert [(cause.port, cause.concerns) for cause in world.outages()] == [(995, 20)]
        starts = world.starts("c3")
        assert max(later - earlier for earlier, later in itertools.pairwise(starts)) < 5.5
        await world.end()

    virtual(scenario)


def test_collectors_that_are_added_and_removed_in_an_outage() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(20))
        await asyncio.sleep(10)
        world.servers.way = lambda _: "nothing listens"
        await asyncio.sleep(60)
        before = len(world.servers.attempts)
        world.declare(*many(30, prefix="new"))
        await asyncio.sleep(60)
        assert len(world.servers.attempts) - before <= 3
        for number in range(20):
            del world.declared[f"c{number}"]
        world.declare()
        await asyncio.sleep(60)
        assert world.outages()[0].concerns == 30
        world.servers.way = lambda _: None
        now = world.clock.monotonic()
        await asyncio.sleep(40)
        assert set(world.back(now)) == {f"new{number}" for number in range(30)}
        await world.end()

    virtual(scenario)


def test_a_daemon_that_starts_in_an_outage_remembers_it() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(100, interval="5m"))
        await asyncio.sleep(10)
        world.servers.way = lambda _: "nothing listens"
        await asyncio.sleep(600)
        kept: dict[str, Retry] = {
            name: retry for name, retry in world.servers.kept.items() if retry
        }
        assert kept
        await world.end()
        again = World(clock=world.clock)
        again.servers.way = lambda _: "nothing listens"
        began = world.clock.monotonic()
        again.declare(*many(100, interval="5m"), retries=kept)
        await asyncio.sleep(60)
        assert len(again.servers.attempts) <= 4
        again.servers.way = lambda _: None
        back_at = world.clock.monotonic()
        await asyncio.sleep(40)
        assert len(again.back(back_at)) == 100
        assert began < back_at
        await again.end()

    virtual(scenario)


@pytest.mark.parametrize("hours", [25, -25])
@pytest.mark.parametrize(
    "reason", ["ConnectionFailed", "DestinationUnavailable", "Throttled", "AuthenticationFailed"]
)
def test_M8_a_back_off_that_was_written_by_another_clock_lasts_no_longer_than_its_schedule(
    hours: int, reason: str
) -> None:
    async def scenario() -> None:
        world = World()
        [declared] = many(1)
        world.declare(declared)
        await asyncio.sleep(1)
        digest = world.loops.actual()["c0"].effective_digest
        await world.end()
        until = world.clock.now() + timedelta(hours=hours, seconds=300)
        again = World(clock=world.clock)
        begin = world.clock.monotonic()
        again.declare(declared, retries={"c0": Retry(reason, "", 1, until, digest)})
        await asyncio.sleep(2.5 * 3600)
        first = again.starts("c0")[0] - begin
        most = {
            "ConnectionFailed": 0,
            "DestinationUnavailable": 1.2 * 900,
            "Throttled": 2.4 * 3600,
            "AuthenticationFailed": 1.2 * 3600,
        }[reason]
        assert first <= (most + 1e-3 if hours > 0 else 0)  # of floating-point numbers
        await again.end()

    virtual(scenario)


def test_R2_a_clock_that_jumps_in_an_outage_changes_nothing() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(*many(50))
        await asyncio.sleep(10)
        world.servers.way = lambda _: "NO [UNAVAILABLE] at login"
        await asyncio.sleep(30)
        world.clock.jumped = timedelta(days=1)
        await asyncio.sleep(60)
        world.clock.jumped = timedelta(days=-1)
        await asyncio.sleep(60)
        assert len(world.attempts(40, 160)) <= 5
        world.servers.way = lambda _: None
        now = world.clock.monotonic()
        await asyncio.sleep(35)
        assert len(world.back(now)) == 50
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_mail_system_that_is_away_is_one_cause_and_tried_by_one(restarted: bool) -> None:
    """By those that have mail for it; the others go on, as do those with another one. All are back
    soon after it, also where the daemon was started within the outage."""

    async def scenario() -> None:
        world, away, tried = World(), True, list[float]()

        async def deliver(work: SessionRequest) -> Failure | None:
            await asyncio.sleep(0.1)
            if not work.collector.name.startswith("c"):
                return None
            tried.append(world.clock.monotonic())
            return Failure("DestinationUnavailable", "refused") if away else None

        world.servers._collect = deliver  # type: ignore[method-assign]
        world.servers.collected = 1
        everybody = [*many(100, destination="lmtp"), *many(3, prefix="other", destination="smtp")]
        kept = {}
        if restarted:
            for one in everybody[:100]:
                digest = (
                    desire(observed(*everybody, *SYSTEMS), {}).collectors[one.name].effective_digest
                )
                kept[one.name] = Retry(
                    "DestinationUnavailable", "refused", 3, world.clock.now(), digest
                )
        world.declare(*SYSTEMS, *everybody, retries=kept)
        await asyncio.sleep(300)
        state = world.loops.state("c7")
        assert state
        assert state.destination_outage
        assert (state.destination_outage.host, state.destination_outage.concerns) == (
            "lmtp lmtp.example:24",
            100,
        )
        assert world.loops.state("other1").destination_outage is None  # type: ignore[union-attr]
        assert len(world.starts("other1")) > 50
        assert len(tried) <= (0 if restarted else 100) + 300 / 15 + 3
        assert not any(world.outages())
        before, away = len(tried), False
        await asyncio.sleep(30)
        assert len(tried) - before >= 100
        await world.end()

    virtual(scenario)


SYSTEMS = [
    destination("lmtp", lmtp={"host": "lmtp.example", "port": 24}),
    destination("smtp", smtp={"host": "smtp.example", "port": 25}),
]
