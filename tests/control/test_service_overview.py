"""The look at all collectors: what it counts, and that others have their turn meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reconciler.control.service_overview import ServiceOverview
from reconciler.model.collector_state import CollectorState
from tests.control.test_many import World
from tests.control.virtual import virtual

FEW = 200


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    for number in range(FEW):
        made.write(number)
    return made


def test_it_serves_until_something_changes(world: World) -> None:
    async def scenario() -> None:
        await world.controller.turn()
        overview = ServiceOverview(world.board, world.clock)
        first = await overview.current()
        assert first.total == FEW
        assert first.states == {CollectorState.WAITING: FEW}
        assert sum(first.hosts.values()) == FEW
        assert await overview.current() is first
        world.board.changed("c1")
        assert await overview.current() is not first

    virtual(scenario)


def test_many_who_ask_at_once_share_a_look_and_others_work_meanwhile(world: World) -> None:
    async def scenario() -> None:
        await world.controller.turn()
        world.board.pause("paused by somebody")
        overview, turns = ServiceOverview(world.board, world.clock), 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.create_task(others())
        await asyncio.sleep(0)
        looks = await asyncio.gather(*(overview.current() for _ in range(7)))
        working.cancel()
        assert len(set(map(id, looks))) == 1
        assert looks[0].states == {CollectorState.PAUSED: FEW}
        assert turns > FEW // 50

    virtual(scenario)
