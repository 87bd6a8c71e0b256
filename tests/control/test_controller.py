"""Add, change, break, mend, remove: the list tells the truth at each step, and the other loops
never restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from reconciler.control.admission import Admission
from reconciler.control.check_requests import CheckRequests
from reconciler.control.contained_defects import ContainedDefects
from reconciler.control.control_service import ControlService
from reconciler.control.controller import Controller
from reconciler.control.host_limits import HostLimits
from reconciler.control.observation import ManifestDirectory
from reconciler.control.running_set import RunningSet
from reconciler.control.service_views import NotFound
from reconciler.control.session_control import SessionControl
from reconciler.control.status_board import StatusBoard
from reconciler.control.watcher import Watcher
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.selectors import selector
from reconciler.model.status import CheckReport, ShownCollector, Status
from reconciler.planning.desired_state import DesiredCollector
from tests.control.doubles import MemoryRegistry, VirtualSessions
from tests.control.manifests import save, text
from tests.control.test_watcher import GENEROUS
from tests.control.virtual import VirtualClock


def check(collector: DesiredCollector, _control: SessionControl) -> CheckReport:
    return CheckReport(name=collector.name, ok=True, steps=())


class World:
    """A control loop over a directory on disk, sessions that take a moment, and a registry in
    memory."""

    def __init__(self, root: Path, registry: MemoryRegistry | None = None) -> None:
        self.root = root
        self.registry = registry or MemoryRegistry()
        self.clock = VirtualClock()
        self.sessions = VirtualSessions(self.clock, length=0.0)
        self.defects = ContainedDefects()
        self.board = StatusBoard(self.clock, self.defects)
        self.admission = Admission(32, lambda _: HostLimits(32))
        self.loops = RunningSet(
            self.sessions, self.admission, self.clock, self.board, defects=self.defects
        )
        self.controller = Controller(
            ManifestDirectory(root), self.registry, self.loops, self.board, self.clock
        )
        self.board.connect(self.loops.state, self.controller.loop_ended)
        self.control = ControlService(
            self.controller,
            self.loops,
            self.board,
            self.registry,
            CheckRequests(check, self.admission),
            self.clock,
        )

    async def turn(self) -> dict[str, Status]:
        """One turn, and what follows from it at once; what is shown then."""
        await self.controller.turn()
        for _ in range(10):
            await asyncio.sleep(0)
        return {found.metadata.name: found.status for found in self.control.list()}


def said(status: Status) -> dict[str, str]:
    return {one.type: f"{one.status} {one.reason}" for one in status.conditions}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    return root


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_add_change_break_mend_remove(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "steady")
        steady = (await world.turn())["steady"]
        assert said(steady)["Ready"] == "True Collected"

        save(root, "sales")
        sales = (await world.turn())["sales"]
        assert said(sales) == {
            "Ready": "True Collected",
            "Reconciling": "False UpToDate",
            "Stalled": "False NoProblem",
        }
        assert (sales.generation, sales.observed_generation, sales.totals.sessions) == (1, 1, 1)

        save(root, "sales", text("sales", "10m"))
        changed = (await world.turn())["sales"]
        assert (changed.generation, changed.observed_generation, changed.totals.sessions) == (
            2,
            2,
            2,
        )
        assert changed.loop_started_at != sales.loop_started_at

        save(root, "sales", text("sales", "4s"))
        broken = (await world.turn())["sales"]
        assert said(broken) == {
            "Ready": "True Collected",
            "Reconciling": "False UpToDate",
            "Stalled": "True InvalidManifest",
        }
        assert f"{root}/sales.yaml:6:" in next(
            one.message for one in broken.conditions if one.type == "Stalled"
        )
        assert (broken.generation, broken.loop_started_at) == (2, changed.loop_started_at)

        save(root, "sales", text("sales", "10m"))
        mended = (await world.turn())["sales"]
        assert said(mended)["Stalled"] == "False NoProblem"
        assert (mended.generation, mended.loop_started_at) == (2, changed.loop_started_at)

        (root / "sales.yaml").unlink()
        left = await world.turn()
        assert list(left) == ["steady"]
        assert world.registry.rows["sales"].retired

        assert left["steady"] == steady

    run(scenario())


def test_the_last_good_one_runs_after_a_restart_over_a_broken_directory(root: Path) -> None:
    async def before() -> MemoryRegistry:
        save(root, "a")
        save(root, "b")
        world = World(root)
        await world.turn()
        return world.registry

    async def after(registry: MemoryRegistry) -> None:
        (root / "a.yaml").write_text("spec: [")
        world = World(root, registry)
        found = await world.turn()
        assert said(found["a"]) == {
            "Ready": "True Collected",
            "Reconciling": "False UpToDate",
            "Stalled": "True InvalidManifest",
        }
        assert {name for name, _ in world.sessions.started} == {"a", "b"}
        assert [status.generation for status in found.values()] == [1, 1]

    run(after(asyncio.run(before())))


def test_all_that_vanish_at_once_are_held_until_that_is_confirmed(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        for name in ("a", "b"):
            save(root, name)
        before = await world.turn()
        (root / "a.yaml").unlink()
        (root / "b.yaml").unlink()
        held = await world.turn()
        assert {said(status)["Stalled"] for status in held.values()} == {"True Held"}
        assert [one.loop_started_at for one in held.values()] == [
            one.loop_started_at for one in before.values()
        ]
        assert world.controller.plan.count() == {"Hold": 2}
        again = World(root, world.registry)
        assert {said(status)["Stalled"] for status in (await again.turn()).values()} == {
            "True Held"
        }
        (root / ".allow-empty").touch()
        assert await world.turn() == {}

    run(scenario())


def test_a_removal_that_is_meant_is_not_held_and_one_that_is_undone_runs_on(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        for name in ("a", "b"):
            save(root, name)
        await world.turn()
        await world.controller.confirm_removed("a")
        assert world.controller.plan.count() == {}
        (root / "a.yaml").unlink()
        (root / "b.yaml").unlink()
        await world.controller.confirm_removed("a")
        assert world.controller.plan.count() == {"Stop": 2}
        assert await world.turn() == {}

    run(scenario())


def test_Y17_a_vanished_directory_stops_nobody(root: Path) -> None:
    async def scenario() -> None:
        world, away = World(root), root.with_name("away")
        save(root, "a")
        before = await world.turn()
        os.rename(root, away)  # noqa: PTH104  # a test may block
        gone = await world.turn()
        assert said(gone["a"])["Stalled"] == "True DirectoryVanished"
        assert [found.rule for found in world.control.diagnostics] == ["directory-vanished"]
        os.rename(away, root)  # noqa: PTH104
        back = await world.turn()
        assert back["a"].loop_started_at == before["a"].loop_started_at
        assert said(back["a"])["Stalled"] == "False NoProblem"

    run(scenario())


def test_a_first_seen_bad_one_is_listed_and_recovers(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a", text("a", "4s"))
        bad = (await world.turn())["a"]
        assert said(bad) == {
            "Ready": "False InvalidManifest",
            "Reconciling": "False UpToDate",
            "Stalled": "True InvalidManifest",
        }
        save(root, "a")
        assert said((await world.turn())["a"])["Ready"] == "True Collected"

    run(scenario())


def test_a_disabled_one_is_listed_and_a_labelled_one_is_not_restarted(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a", text("a", enabled="false"))
        save(root, "b")
        before = await world.turn()
        assert said(before["a"])["Ready"] == "False Disabled"
        save(root, "b", text("b").replace("{name: b}", "{name: b, labels: {team: x}}"))
        after = await world.turn()
        assert after["b"].loop_started_at == before["b"].loop_started_at
        assert [
            found.metadata.name for found in world.control.list(labels=[selector("team=x")])
        ] == ["b"]

    run(scenario())


def test_a_removed_one_that_comes_back_has_its_history(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a")
        await world.turn()
        (root / "a.yaml").unlink()
        await world.turn()
        save(root, "a")
        assert (await world.turn())["a"].generation == 1
        assert not world.registry.rows["a"].retired

    run(scenario())


def test_R5_without_the_ledger_nothing_starts_and_it_catches_up(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        world.registry.broken = True
        save(root, "a")
        assert await world.turn() == {}
        assert "disk is full" in world.control.trouble
        ready = [world.control.ready]
        world.registry.broken = False
        assert said((await world.turn())["a"])["Ready"] == "True Collected"
        ready.append(world.control.ready)
        assert ready == [False, True]
        assert not world.control.trouble

    run(scenario())


def test_clear_begins_a_new_epoch_and_names_that_are_unknown_are_refused(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a")
        await world.turn()
        world.registry.rows["a"].size = 7
        cleared = await world.control.clear("a")
        assert (cleared.epoch, cleared.forgotten) == (2, 7)
        assert world.sessions.starts("a") == [pytest.approx(world.sessions.starts("a")[0])]
        with pytest.raises(NotFound):
            await world.control.clear("b")
        with pytest.raises(NotFound):
            world.control.collect("b")

    run(scenario())


# -- with the watcher, in real time


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[None]:
    watcher = Watcher(world.root, world.controller.wake)
    world.controller.on_moved(watcher.renew)
    tasks = [asyncio.create_task(world.controller.run()), asyncio.create_task(watcher.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(world: World, holds: Callable[[dict[str, ShownCollector]], bool]) -> None:
    """Wait for the list to say so."""
    async with asyncio.timeout(GENEROUS):
        with world.control.events.reading() as woken:
            while not holds({found.metadata.name: found for found in world.control.list()}):
                await woken.wait()
                woken.clear()


def test_a_saved_file_is_acted_upon(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "steady")
        async with watched(world):
            await until(world, lambda found: "steady" in found)
            save(root, "a")
            await until(
                world, lambda found: "a" in found and found["a"].status.totals.sessions == 1
            )
            save(root, "a", text("a", "1h"))
            await until(world, lambda found: found["a"].status.observed_generation == 2)
            (root / "a.yaml").unlink()
            await until(world, lambda found: list(found) == ["steady"])
            assert world.sessions.starts("steady") == [
                pytest.approx(world.sessions.starts("steady")[0])
            ]

    run(scenario())


def test_M12_a_renamed_collector_waits_for_the_old_one_and_has_its_history(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        may_end = world.sessions.may_end = asyncio.Event()
        save(root, "other")
        save(root, "old")
        await world.turn()
        ended = asyncio.Event()
        world.board.connect(world.loops.state, ended.set)
        world.registry.rows["old"].size = 7
        content = (root / "old.yaml").read_text()
        (root / "old.yaml").write_text(content.replace("name: old", "name: new"))
        shown = await world.turn()
        assert said(shown["new"])["Stalled"] == "True Renaming"
        assert "old" in world.loops
        assert "new" not in world.loops.actual()
        may_end.set()
        await asyncio.wait_for(ended.wait(), GENEROUS)
        world.controller.loop_ended()
        shown = await world.turn()
        assert said(shown["new"])["Stalled"].startswith("False")
        assert "new" in world.loops.actual()
        assert world.registry.histories()["new"].size == 7
        assert "old" not in world.registry.rows

        again = World(root, world.registry)  # renamed while no daemon runs, back again
        (root / "old.yaml").write_text(content)
        await again.turn()
        assert set(again.loops.actual()) == {"other", "old"}
        assert world.registry.histories()["old"].size == 7
        assert "new" not in world.registry.rows

    run(scenario())


def test_M12_collectors_that_exchange_names_end_first_and_exchange_their_histories(
    root: Path,
) -> None:
    async def scenario() -> None:
        world = World(root)
        may_end = world.sessions.may_end = asyncio.Event()
        for name in ("a", "b", "steady"):
            save(root, name)
        await world.turn()
        for name, size in (("a", 1), ("b", 2)):
            world.registry.rows[name].size = size
        for name, other in ("ab", "ba"):
            content = (root / f"{name}.yaml").read_text()
            (root / f"{name}.yaml").write_text(content.replace(f"name: {name}", f"name: {other}"))
        shown = await world.turn()
        assert {said(shown[name])["Stalled"] for name in "ab"} == {"True Renaming"}
        may_end.set()
        until = asyncio.get_running_loop().time() + GENEROUS
        while set(world.loops.actual()) != {"a", "b", "steady"}:
            await asyncio.sleep(0.02)
            shown = await world.turn()
            assert asyncio.get_running_loop().time() < until
        assert {name: row.size for name, row in world.registry.rows.items()} == {
            "a": 2,
            "b": 1,
            "steady": 0,
        }
        assert {said(shown[name])["Stalled"] for name in "ab"} == {"False NoProblem"}

    run(scenario())


def test_a_changed_spec_tries_again_what_is_parked_and_an_unchanged_one_does_not(
    root: Path,
) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a")
        await world.turn()
        save(root, "b")
        save(root, "a", text("a", "1h"))
        await world.turn()
        assert [
            (work.collector.effective.collect.interval, work.unpark)
            for work in world.sessions.works
            if work.collector.name == "a"
        ] == [("5m", True), ("1h", True)]
        again = World(root, world.registry)  # the same as before the restart
        await again.turn()
        version = again.controller._decision
        assert version is not None
        assert not any(found.fresh for found in version.versions.values())

    run(scenario())


def test_a_removed_collector_is_retired_once_its_session_is_over_however_often_the_ledger_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        world = World(root)
        may_end = world.sessions.may_end = asyncio.Event()
        for name in ("a", "b"):
            save(root, name)
        await world.turn()
        ended = asyncio.Event()
        world.board.connect(world.loops.state, ended.set)
        (root / "a.yaml").unlink()
        await world.turn()
        assert not world.registry.rows["a"].retired  # its session still records
        may_end.set()
        await asyncio.wait_for(ended.wait(), GENEROUS)
        world.controller.loop_ended()
        retire = world.registry.retire

        def fails(*_: object) -> None:
            raise LedgerUnavailable("the disk is full")

        monkeypatch.setattr(world.registry, "retire", fails)
        await world.turn()
        assert world.controller.trouble == "the disk is full"
        monkeypatch.setattr(world.registry, "retire", retire)
        await world.turn()
        assert world.controller.trouble == ""
        assert world.registry.rows["a"].retired

    run(scenario())


class _Waited(asyncio.Event):
    """An event that tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.awaited.set()
        return await super().wait()


def test_a_wake_up_in_the_same_moment_does_not_hide_that_it_is_to_end(root: Path) -> None:
    async def scenario() -> None:
        controller = World(root).controller
        woken = controller._woken = _Waited()
        running = asyncio.create_task(controller.run())
        await woken.awaited.wait()
        controller.wake(None)
        running.cancel()
        await asyncio.wait({running}, timeout=GENEROUS)
        assert running.cancelled()

    run(scenario())
