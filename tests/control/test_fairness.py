"""Hosts and destinations that are slow, silent or dead keep nobody else from his interval. In
virtual time; one case is repeated over real connections in endtoend/test_tarpits.py."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from reconciler.collect.backoff import next_backoff
from reconciler.control.session_request import SessionRequest
from reconciler.model.outcomes import Failure
from reconciler.planning.observed_manifests import Declaration
from tests.control.outages import World, many
from tests.control.virtual import virtual
from tests.planning.build import destination

SILENT = "swallows what is sent"


def gap(world: World, name: str, since: float = 0.0) -> float:
    """The longest one between two sessions, the time before the first and after the last one
    included."""
    now = world.clock.monotonic()
    return max(
        later - earlier
        for earlier, later in itertools.pairwise(
            [since, *(at for at in world.starts(name) if at >= since), now]
        )
    )


@pytest.mark.parametrize(("hosts", "each"), [(4, 8), (50, 1), (50, 4), (10, 40)])
def test_N9_M10_a_good_collector_keeps_its_interval_beside_silent_hosts(
    hosts: int, each: int
) -> None:
    async def scenario() -> None:
        world = World()
        world.servers.way = lambda name: SILENT if name.startswith("t") else None
        tarpits = [
            one
            for number in range(hosts)
            for one in many(each, f"tar{number}.example", prefix=f"t{number}x")
        ]
        world.declare(*many(1, "good.example", prefix="good"), *tarpits)
        await asyncio.sleep(300)
        assert gap(world, "good0", 30) <= 6
        assert world.starts("good0")[0] < 25  # nothing was known of anybody
        world.declare(
            *many(1, "new.example", prefix="new")
        )  # a host of which nobody knows anything yet
        now = world.clock.monotonic()
        await asyncio.sleep(60)
        assert world.starts("new0")[0] - now < 15
        await world.end()

    virtual(scenario)


def test_a_host_that_nobody_has_tried_yet_does_not_wait_for_slow_ones_that_let_everybody_in() -> (
    None
):
    async def scenario() -> None:
        world = World()
        world.servers.length = 55.0  # bodies that dribble
        for number in range(4):
            world.declare(*many(20, f"slow{number}.example", prefix=f"s{number}x"))
        await asyncio.sleep(30)
        now = world.clock.monotonic()
        world.declare(*many(1, "new.example", prefix="new"))
        await asyncio.sleep(40)
        assert world.starts("new0")[0] - now < 1
        await world.end()

    virtual(scenario)


def test_a_busy_good_host_keeps_its_intervals_too() -> None:
    async def scenario() -> None:
        world = World()
        world.servers.way = lambda name: SILENT if name.startswith("t") else None
        tarpits = [
            one
            for number in range(50)
            for one in many(2, f"tar{number}.example", prefix=f"t{number}x")
        ]
        world.declare(*many(60, "good.example", prefix="good"), *tarpits)
        await asyncio.sleep(150)
        assert max(gap(world, f"good{number}", 60) for number in range(60)) <= 7
        await world.end()

    virtual(scenario)


def test_hosts_that_let_in_and_dribble_take_not_all() -> None:
    """Each turns slow after it was let in, and has done well before."""

    async def scenario() -> None:
        world = World()
        slow = False

        async def collect(work: SessionRequest) -> Failure | None:
            is_slow = slow and work.collector.name.startswith("t")
            for _ in range(900 if is_slow else 0):
                await asyncio.sleep(1)
                if work.control.stopping:
                    break
            await asyncio.sleep(0.15)
            return Failure("ConnectionFailed", "deadline") if is_slow else None

        world.servers._collect = collect  # type: ignore[method-assign]
        tarpits = [
            one
            for number in range(6)
            for one in many(8, f"tar{number}.example", prefix=f"t{number}x")
        ]
        world.declare(*many(1, "good.example", prefix="good"), *tarpits)
        await asyncio.sleep(60)
        slow = True
        await asyncio.sleep(1200)
        assert gap(world, "good0", 60) < 100  # all turned slow at once
        assert gap(world, "good0", 200) <= 6
        await world.end()

    virtual(scenario)


def to(name: str, host: str) -> Declaration:
    return destination(name, lmtp={"host": host, "port": 24})


def test_M11_a_silent_destination_keeps_only_its_own_collectors_waiting() -> None:
    async def scenario() -> None:
        world = World()

        async def collect(work: SessionRequest) -> Failure | None:
            spec = work.collector.destination
            if spec and spec.lmtp and spec.lmtp.host == "silent.example":
                await asyncio.sleep(300)
                return Failure("DestinationUnavailable", "no answer for 300 s")
            await asyncio.sleep(0.15)
            return None

        world.servers._collect = collect  # type: ignore[method-assign]
        stuck = [
            one
            for number in range(4)
            for one in many(10, f"h{number}.example", prefix=f"s{number}x", destination="silent")
        ]
        good = many(3, "good.example", prefix="good", destination="well")
        world.declare(to("silent", "silent.example"), to("well", "well.example"), *stuck, *good)
        await asyncio.sleep(1200)
        assert max(gap(world, f"good{number}", 10) for number in range(3)) <= 6
        assert len([at for at in world.attempts(400, 1200) if world.servers]) > 0
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize("connections", [2, 8])
def test_M11_a_silent_destination_leaves_room_at_its_own_hosts(connections: int) -> None:
    async def scenario() -> None:
        world = World(per_host=connections)

        async def collect(work: SessionRequest) -> Failure | None:
            spec = work.collector.destination
            if spec and spec.lmtp and spec.lmtp.host == "silent.example":
                await asyncio.sleep(300)
                return Failure("DestinationUnavailable", "no answer for 300 s")
            await asyncio.sleep(0.15)
            return None

        world.servers._collect = collect  # type: ignore[method-assign]
        stuck = many(10, "one.example", prefix="stuck", destination="silent")
        good = many(3, "one.example", prefix="good", destination="well")
        world.declare(to("silent", "silent.example"), to("well", "well.example"), *stuck, *good)
        await asyncio.sleep(1200)
        assert max(gap(world, f"good{number}", 10) for number in range(3)) <= 6
        await world.end()

    virtual(scenario)


def test_a_destination_that_fails_at_once_is_tried_by_one_at_a_time_until_it_takes_mail() -> None:
    async def scenario() -> None:
        world, down, most = World(), True, 0
        running = 0

        async def collect(work: SessionRequest) -> Failure | None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(5.0)
            running -= 1
            return Failure("DestinationUnavailable", "disk full") if down else None

        world.servers._collect = collect  # type: ignore[method-assign]
        world.declare(*many(40, "a.example"))
        await asyncio.sleep(120)
        most = 0
        await asyncio.sleep(300)
        assert most <= 1
        down, world.servers.collected = False, 1
        now = world.clock.monotonic()
        await asyncio.sleep(120)
        assert len(world.back(now)) == 40
        await world.end()

    virtual(scenario)


def test_where_there_is_one_host_only_nothing_is_kept() -> None:
    async def scenario() -> None:
        world = World(sessions=8, per_host=8)
        most: Callable[[], int] = lambda: world.servers.running["imap.example"]  # noqa: E731
        world.servers.length = 30
        world.declare(*many(20))
        await asyncio.sleep(5)
        assert most() == 8
        await world.end()

    virtual(scenario)


def test_back_offs_are_the_real_ones() -> None:
    """What stands in for servers here decides as the program does."""
    assert World().servers.run.__func__.__globals__["next_backoff"] is next_backoff  # type: ignore[attr-defined]
