"""A defect of ours that comes up for one collector stops nothing else, is told, counted and shown,
and passes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from reconciler.app.adapters import utc_now as now
from reconciler.collect.backoff import next_backoff
from reconciler.control import collector_loop, running_set, status_board
from reconciler.control.event_loop import ThreadPool
from reconciler.control.session_pool import SessionPool
from reconciler.control.session_request import SessionRequest
from reconciler.model.errors import NoThread
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.model.status import Status
from tests.captured_logs import capture_logs
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import save, text
from tests.control.outages import World as Outages
from tests.control.outages import many
from tests.control.test_check_requests import only
from tests.control.test_controller import World, said
from tests.control.virtual import virtual

NAMES = ("a", "b", "c", "d")


def failing(
    monkeypatch: pytest.MonkeyPatch,
    holder: Any,
    name: str,
    about: Callable[..., str],
    bad: set[str],
) -> None:
    """From now on this function fails for the collectors that are `bad`."""
    original = getattr(holder, name)

    def fails(*given: Any, **named: Any) -> Any:
        if about(*given, **named) in bad:
            raise ZeroDivisionError("hunter2")
        return original(*given, **named)

    monkeypatch.setattr(holder, name, fails)


PLACES: dict[str, tuple[Any, str, Callable[..., str]]] = {
    "made": (running_set, "Loop", lambda version, *_: str(version.collector.name)),
    "started": (collector_loop.Loop, "start", lambda self, *_: str(self.name)),
    "its place": (collector_loop, "target_of", lambda collector: str(collector.name)),
    "its delay": (running_set, "first_delay", lambda name, *_: str(name)),
    "replaced": (collector_loop.Loop, "replace", lambda self, *_: str(self.name)),
    "updated": (collector_loop.Loop, "update", lambda self, *_: str(self.name)),
    "stopped": (collector_loop.Loop, "stop", lambda self, *_: str(self.name)),
    "drawn": (status_board, "show_collector", lambda facts, *_: str(facts.desired.name)),
    "retired": (MemoryRegistry, "retire", lambda _, name, *__: str(name)),
}


GOING = {"stopped", "retired"}
"""Where the defect comes up for collectors that are gone."""


def declare(directory: Path, where: str) -> None:
    """What brings about the step that fails."""
    for name in NAMES:
        now = text(name, "7m" if where == "replaced" else "5m")
        if where == "updated":
            now = now.replace(f"{{name: {name}}}", f"{{name: {name}, labels: {{team: new}}}}")
        if where in GOING and name != "d":
            (directory / f"{name}.yaml").unlink()
        else:
            save(directory, name, now)
    save(directory, "new")


def assert_the_others_are_as_declared(world: World, shown: dict[str, Status], where: str) -> None:
    assert said(shown["new"])["Ready"] == "True Collected"
    assert said(shown["d"])["Stalled"] == "False NoProblem"
    if where in GOING:
        assert not {"a", "c"} & set(world.loops.names())
        assert {world.registry.rows[name].retired for name in ("a", "c")} == {True}
    else:
        assert {said(shown[name])["Ready"] for name in ("a", "c")} == {"True Collected"}
        assert said(shown["b"])["Stalled"] == "True InternalError"
        assert shown["c"].observed_generation == (2 if where == "replaced" else 1)


@pytest.mark.parametrize("where", PLACES)
def test_one_collector_s_defect_stops_none_of_the_others(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        world, bad = World(tmp_path), {"b"}
        if where in GOING | {"replaced", "updated"}:
            for name in NAMES:
                save(tmp_path, name)
            await world.turn()
        failing(monkeypatch, *PLACES[where], bad)
        with capture_logs() as told:
            declare(tmp_path, where)
            await world.turn()
            shown = await world.turn()
        assert_the_others_are_as_declared(world, shown, where)
        assert ("in carrying out the plan of b" in world.controller.trouble) == (
            where not in {"drawn", "retired"}
        )
        defects = [one for one in told if one["event"] == "defect"]
        assert [one["collector"] for one in defects] == ["b"]  # once, however often it was tried
        assert world.control.internal_errors > 0
        assert "hunter2" not in repr([told, shown, world.controller.trouble])

        bad.clear()
        await world.turn()
        world.board.changed("b")
        shown = await world.turn()
        assert world.controller.trouble == ""
        assert (
            world.registry.rows["b"].retired
            if where in GOING
            else said(shown["b"])["Stalled"] == "False NoProblem"
        )
        await world.loops.shut_down(1, 1)

    asyncio.run(scenario())


def test_a_session_that_ends_by_a_defect_gives_its_place_back_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        world, bad = Outages(sessions=2, per_host=1), {"c1"}
        failing(monkeypatch, world.servers, "run", lambda work: str(work.collector.name), bad)
        with capture_logs():
            world.declare(*many(3))
            await asyncio.sleep(21)
            assert len(world.starts("c0")) >= 4
            assert len(world.starts("c2")) >= 4
            assert "ZeroDivisionError" in world.loops.defects.of("c1")
            bad.clear()
            await asyncio.sleep(11)
        assert len(world.starts("c1")) >= 2
        assert world.loops.defects.of("c1") == ""
        await world.end()

    virtual(scenario)


@pytest.mark.parametrize("step", ["_start_session", "_learn", "_proceed"])
def test_a_defect_between_two_sessions_ends_neither_the_loop_nor_the_others(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        world, bad = Outages(sessions=2, per_host=1), {"c1"}
        with capture_logs():
            world.declare(*many(3))
            await asyncio.sleep(7)
            failing(monkeypatch, collector_loop.Loop, step, lambda self, *_: str(self.name), bad)
            await asyncio.sleep(20)
            assert len(world.starts("c0")) >= 4
            bad.clear()
            before = len(world.starts("c1"))
            await asyncio.sleep(20)
        assert len(world.starts("c1")) > before + 2
        assert world.admission._running == 0
        await world.end()

    virtual(scenario)


def test_a_waiting_collector_that_cannot_be_told_keeps_none_of_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        world = Outages()
        world.declare(*many(6))
        await asyncio.sleep(7)
        world.servers.way = lambda _: "nothing listens"
        await asyncio.sleep(60)
        original, bad = collector_loop.Loop.retry, {"c2"}
        failing(monkeypatch, collector_loop.Loop, "_schedule", lambda self, *_: str(self.name), bad)
        world.servers.way = lambda _: None
        since = world.clock.monotonic()
        with capture_logs():
            await asyncio.sleep(40)
        assert set(world.back(since)) >= {"c0", "c1", "c3", "c4", "c5"}
        assert original is collector_loop.Loop.retry
        bad.clear()
        await world.end()

    virtual(scenario)


# Threads that cannot be started


def no_more(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def in_a_loop(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_R1_a_call_for_which_there_was_no_thread_is_never_made_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        threads, made = ThreadPool("test", 2), list[int]()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_more)
            with pytest.raises(NoThread, match="can't start new thread"):
                await threads.run(made.append, 1)
        await threads.run(made.append, 2)
        await threads.run(made.append, 3)
        assert made == [2, 3]
        threads.close()

    in_a_loop(scenario)


def test_R1_a_session_for_which_there_is_no_thread_fails_and_backs_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        registry, ran = MemoryRegistry(), list[str]()

        def session(collector: Any, _control: Any) -> SessionReport:
            ran.append(collector.name)
            return SessionReport(now(), now(), Outcome.SUCCEEDED)

        pool = SessionPool(session, next_backoff, registry, 2, now)
        registry._declare("a", "")
        work = SessionRequest(only("a"))
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_more)
            failed = await pool.run(work)
        assert failed.report.error
        assert failed.report.error.reason == "NoThread"
        assert failed.retry
        assert work.control.failed_elsewhere  # it says nothing of the server
        assert (await pool.run(SessionRequest(only("a")))).report.error is None
        assert ran == ["a"]
        pool.close()

    in_a_loop(scenario)


def test_R1_a_turn_for_which_there_is_no_thread_is_trouble_and_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "a")
        with monkeypatch.context() as patched, capture_logs():
            patched.setattr(threading.Thread, "start", no_more)
            await world.turn()
            assert "no more threads" in world.controller.trouble
        assert said((await world.turn())["a"])["Ready"] == "True Collected"
        assert world.controller.trouble == ""

    in_a_loop(scenario)
