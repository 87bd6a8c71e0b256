"""The states of a loop, in virtual time: each transition of the table is walked, and no other one
is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import product

import pytest

from reconciler.control import collector_loop
from reconciler.control.loop_state import (
    TRANSITIONS,
    IllegalTransition,
    LoopState,
    check_transition,
)
from tests.captured_logs import capture_logs
from tests.control.test_running_set import A, B, World
from tests.control.virtual import virtual
from tests.planning.build import collector

WAITING, QUEUED, RUNNING, QUIET, ENDED = LoopState
TABLE = [(before, after) for before, afters in TRANSITIONS.items() for after in afters]
LONG = 1000.0


class Walk(World):
    """The collector `a` is looked at; `b` takes the only session from it."""

    def __init__(self) -> None:
        super().__init__(sessions=1)
        self.quiet_times = AsyncExitStack()

    @property
    def state(self) -> LoopState:
        found = self.loops.state("a")
        return ENDED if found is None else found.state

    async def be_quiet(self) -> None:
        await self.quiet_times.enter_async_context(self.loops.quiet("a"))

    async def let_b_run(self) -> None:
        self.sessions.length = LONG
        self.declare(A, B)
        await asyncio.sleep(1)
        b = self.loops.state("b")
        assert b is not None
        assert b.state is RUNNING


async def come_to_waiting(walk: Walk) -> None:
    walk.declare(A)
    await asyncio.sleep(10)


async def come_to_queued(walk: Walk) -> None:
    walk.sessions.length = LONG
    walk.declare(B)
    await asyncio.sleep(1)
    walk.declare(A, B)
    await asyncio.sleep(1)


async def come_to_running(walk: Walk) -> None:
    walk.sessions.length = 30
    walk.declare(A)
    await asyncio.sleep(1)


async def come_to_quiet(walk: Walk) -> None:
    await come_to_waiting(walk)
    await walk.be_quiet()


ARRIVALS: dict[LoopState, Callable[[Walk], Awaitable[None]]] = {
    WAITING: come_to_waiting,
    QUEUED: come_to_queued,
    RUNNING: come_to_running,
    QUIET: come_to_quiet,
}


async def be_due(walk: Walk) -> None:
    await walk.let_b_run()
    await asyncio.sleep(50)


async def be_admitted(walk: Walk) -> None:
    walk.declare(A)
    await asyncio.sleep(5)


async def be_replaced(walk: Walk) -> None:
    walk.declare(collector("a", collect={"interval": "2m"}), B)


async def be_quiet(walk: Walk) -> None:
    await walk.be_quiet()


async def be_stopped(walk: Walk) -> None:
    walk.declare(B)
    await asyncio.sleep(5)


async def finish(walk: Walk) -> None:
    await asyncio.sleep(35)


async def be_quiet_no_longer(walk: Walk) -> None:
    await walk.quiet_times.aclose()


async def be_asked_and_quiet_no_longer(walk: Walk) -> None:
    await walk.let_b_run()
    walk.loops.collect_now("a")
    assert walk.state is QUIET
    await walk.quiet_times.aclose()


CAUSES: dict[tuple[LoopState, LoopState], Callable[[Walk], Awaitable[None]]] = {
    (WAITING, QUEUED): be_due,
    (WAITING, QUIET): be_quiet,
    (WAITING, ENDED): be_stopped,
    (QUEUED, RUNNING): be_admitted,
    (QUEUED, WAITING): be_replaced,
    (QUEUED, QUIET): be_quiet,
    (QUEUED, ENDED): be_stopped,
    (RUNNING, WAITING): finish,
    (RUNNING, QUIET): be_quiet,
    (RUNNING, ENDED): be_stopped,
    (QUIET, WAITING): be_quiet_no_longer,
    (QUIET, QUEUED): be_asked_and_quiet_no_longer,
    (QUIET, ENDED): be_stopped,
}
"""One way of each transition. Whoever adds one to the table adds it here."""


def named(pair: tuple[LoopState, LoopState]) -> str:
    return f"{pair[0].value} to {pair[1].value}"


@pytest.mark.parametrize("pair", TABLE, ids=named)
def test_each_transition_is_walked(
    pair: tuple[LoopState, LoopState], transitions: list[tuple[LoopState, LoopState]]
) -> None:
    before, after = pair

    async def scenario() -> None:
        walk = Walk()
        await ARRIVALS[before](walk)
        assert walk.state is before
        transitions.clear()
        await CAUSES[pair](walk)
        assert walk.state is after
        assert pair in transitions
        await walk.quiet_times.aclose()
        await walk.loops.shut_down(1, 1)

    virtual(scenario)


@pytest.mark.parametrize(
    "pair", [pair for pair in product(LoopState, LoopState) if pair not in TABLE], ids=named
)
def test_no_other_one_is_allowed(pair: tuple[LoopState, LoopState]) -> None:
    with pytest.raises(IllegalTransition, match=f"from {pair[0].value} to {pair[1].value}"):
        check_transition(*pair)


def test_an_illegal_one_is_logged_and_counted_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(before: LoopState, after: LoopState) -> None:
        if after is RUNNING:
            raise IllegalTransition("hunter2")

    monkeypatch.setattr(collector_loop, "check_transition", refuse)

    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(90)
        assert world.starts("a") == [0, 60]
        assert world.loops.defects.count == 2

    with capture_logs() as logged:
        virtual(scenario)
    [*_, line] = [one for one in logged if one["event"] == "defect"]
    assert (line["collector"], line["doing"]) == ("a", "changing the state of its loop")
    assert "IllegalTransition" in line["where"]
    assert "hunter2" not in str(logged)
