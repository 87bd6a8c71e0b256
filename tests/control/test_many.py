"""Two thousand collectors: what is done once for all of them, and what one change costs, in counted
operations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reconciler.control import conditions, decision_recorder, file_results, observation
from reconciler.control import controller as controllers
from reconciler.control import status_board as boards
from reconciler.control.admission import Admission
from reconciler.control.conditions import CollectorFacts
from reconciler.control.controller import Controller
from reconciler.control.event_loop import ThreadPool
from reconciler.control.host_limits import ELSEWHERE
from reconciler.control.observation import ManifestDirectory
from reconciler.control.running_set import RunningSet
from reconciler.control.status_board import StatusBoard
from reconciler.manifests import manifest_files
from reconciler.model.history import DeclaredCollector, Declaring, LastGood
from reconciler.model.status import Condition, ShownCollector
from reconciler.planning.desired_state import desire
from reconciler.planning.reconcile_plan import Replace, Start
from tests.control.doubles import MemoryRegistry, VirtualSessions
from tests.control.virtual import VirtualClock, virtual

WHOLE = (
    (observation, "walk"),
    (file_results, "check_across_files"),
    (decision_recorder, "desire"),
    (controllers, "plan"),
)
"""What takes as long as there are collectors."""
MANY, FEW = 2000, 20
INTERVAL = 300


class CountingRegistry(MemoryRegistry):
    """Counts its transactions, and what they write."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def declare_all(
        self, declaring: Iterable[Declaring], now: datetime
    ) -> Mapping[str, DeclaredCollector]:
        wanted = list(declaring)
        self.counts.update({"declare": 1, "declared": len(wanted)})
        return super().declare_all(wanted, now)

    def save_last_good(
        self, changed: Iterable[LastGood], gone: Iterable[tuple[str, str]], now: datetime
    ) -> None:
        saved = list(changed)
        self.counts.update({"save": 1, "saved": len(saved)})
        super().save_last_good(saved, list(gone), now)


class World:
    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.counts: Counter[str] = Counter()
        self.registry = CountingRegistry()
        self.clock = VirtualClock()
        self.sessions = VirtualSessions(self.clock, length=0.5)
        self.board = StatusBoard(self.clock)
        self.loops = RunningSet(
            self.sessions, Admission(32, lambda _: ELSEWHERE), self.clock, self.board
        )
        self.controller = Controller(
            ManifestDirectory(root), self.registry, self.loops, self.board, self.clock
        )
        self.board.connect(self.loops.state, self.controller.loop_ended)
        patch.setattr(ThreadPool, "run", _at_once)  # virtual time knows no threads

        def counted_read(path: Path) -> bytes:
            self.counts["read"] += 1
            return manifest_files.read(path)

        def counted_shown(
            facts: CollectorFacts,
            previous: tuple[Condition, ...],
            now: datetime,
            same: ShownCollector | None,
        ) -> ShownCollector:
            self.counts["shown"] += 1
            return conditions.show_collector(facts, previous, now, same)

        def counted(module: ModuleType, name: str) -> None:
            call = getattr(module, name)

            def noted(*arguments: Any, **named: Any) -> Any:
                self.counts[name] += 1
                return call(*arguments, **named)

            patch.setattr(module, name, noted)

        for module, name in WHOLE:
            counted(module, name)
        patch.setattr(observation, "read", counted_read)
        patch.setattr(boards, "show_collector", counted_shown)

    def write(self, number: int, interval: str = "5m") -> str:
        path = self.root / f"c{number}.yaml"
        path.write_text(f"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: c{number}}}
spec:
  source:
    protocol: imap
    host: host{number % 20}.example.org
    username: user{number}
    password: {{file: secret}}
  collect: {{interval: {interval}}}
  recipient: {{forwardTo: user{number}@example.net}}
""")
        return str(path)

    def took(self) -> Counter[str]:
        """Operations since this was asked last."""
        taken = self.counts + self.registry.counts
        self.counts.clear()
        self.registry.counts.clear()
        return taken


async def _at_once(
    _threads: ThreadPool, function: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    return function(*arguments, **named)


@pytest.fixture(params=[FEW])
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    made = World(tmp_path, monkeypatch)
    for number in range(request.param):
        made.write(number)
    return made


@pytest.mark.parametrize("world", [MANY], indirect=True)
def test_R4_a_start_is_one_transaction_spread_over_the_interval_and_a_change_concerns_one(
    world: World,
) -> None:
    async def scenario() -> None:
        await world.controller.turn()
        assert Counter(type(step) for step in world.controller.plan.steps) == {Start: MANY}
        assert world.took() == {
            **dict.fromkeys((name for _, name in WHOLE), 1),
            "read": MANY,
            "declare": 1,
            "declared": MANY,
            "save": 1,
            "saved": MANY,
        }

        await asyncio.sleep(0)
        world.took()  # each was drawn once
        await asyncio.sleep(INTERVAL)
        starts = [at for _, at in world.sessions.started]
        assert len({name for name, _ in world.sessions.started}) == MANY
        assert (
            max(Counter(int(at) for at in starts).values()) <= 64
        )  # 32 at once, half a second each
        assert world.sessions.most <= 32

        world.took()
        await world.controller.turn(only=[world.write(7, "10m")])
        taken = world.took()
        assert [type(step) for step in world.controller.plan.changes] == [Replace]
        assert {
            "read": 1,
            "declare": 1,
            "declared": 1,
            "save": 1,
            "saved": 1,
        }.items() <= taken.items()

        running = world.loops.actual()
        await world.controller.turn(only=[world.write(8, "10m")])
        now = world.loops.actual()
        assert [name for name in now if now[name] is not running[name]] == ["c8"]
        await world.loops.shut_down(5, 5)

    virtual(scenario)


@pytest.mark.parametrize("world", [MANY], indirect=True)
def test_one_that_is_new_changed_or_gone_costs_nothing_for_the_others(world: World) -> None:
    def gone(number: int) -> list[str]:
        path = world.root / f"c{number}.yaml"
        path.unlink()
        return [str(path)]

    def drafted(number: int) -> list[str]:
        return [str(world.root / ".c.yaml.draft"), world.write(number, "11m")]

    async def scenario() -> None:
        await world.controller.turn()
        await world.board.drawn()
        await world.controller.turn(only=drafted(1))  # the index of all is made once
        await asyncio.sleep(1)
        edits: tuple[tuple[Callable[[], list[str]], dict[str, int]], ...] = (
            (lambda: [world.write(MANY)], {"declared": 1, "saved": 1}),
            (lambda: drafted(3), {"declared": 1, "saved": 1}),
            (lambda: gone(MANY), {}),
            (lambda: gone(4), {}),
            (lambda: [world.write(4)], {"declared": 1, "saved": 1}),
        )
        for touch, changes in edits:
            await world.board.drawn()
            world.took()
            paths = touch()
            await world.controller.turn(only=paths)
            taken = world.took()
            assert len(world.controller.plan.changes) == 1
            assert not {name for _, name in WHOLE} & taken.keys()
            assert taken["read"] == (1 if changes else 0)
            assert {key: taken[key] for key in ("declared", "saved") if taken[key]} == changes
            assert len(await world.board.drawn()) == len(world.loops.actual())
        await world.loops.shut_down(5, 5)

    virtual(scenario)


def test_events_that_do_not_tell_everything_make_it_look_everywhere(world: World) -> None:
    async def scenario() -> None:
        await world.controller.turn()
        for path in (world.write(FEW), world.write(FEW + 1)):
            await world.controller.turn(only=[path])  # not known yet
        assert {f"c{FEW}", f"c{FEW + 1}"} <= world.loops.actual().keys()
        (world.root / "c5.yaml").unlink()
        await world.controller.turn(only=[str(world.root / "c5.yaml")])
        await asyncio.sleep(5)
        assert "c5" not in world.loops.actual()
        await world.controller.turn(only=[])
        assert len(world.loops.actual()) == FEW + 1
        await world.loops.shut_down(5, 5)

    virtual(scenario)


def test_one_change_after_the_other_comes_to_the_same_as_looking_at_everything(
    world: World,
) -> None:
    """Specs alone, an account that two read, a broken file, one that is whole again, a name that is
    taken, others."""

    def file(number: int, text: str) -> str:
        path = world.root / f"c{number}.yaml"
        path.write_text(text)
        return str(path)

    def saved(number: int) -> str:
        return (world.root / f"c{number}.yaml").read_text()

    def gone(number: int) -> str:
        (world.root / f"c{number}.yaml").unlink()
        return str(world.root / f"c{number}.yaml")

    def check() -> None:
        fresh = ManifestDirectory(world.root).observe()
        wanted = desire(fresh.observed, world.controller.in_force)
        assert world.controller.diagnostics == fresh.diagnostics
        running = world.loops.actual()
        assert {name: found.effective for name, found in running.items()} == {
            name: found.effective
            for name, found in wanted.collectors.items()
            if found.effective.enabled
        }
        assert world.board.desired("c3") == wanted.collectors["c3"]

    async def scenario() -> None:
        await world.controller.turn()
        original = {number: saved(number) for number in range(FEW)}
        edits: list[Callable[[], str]] = [
            lambda: world.write(3, "10m"),
            lambda: file(4, original[4].replace("user4,", "user24,")),
            lambda: file(3, original[3].replace("host3.", "host4.").replace("user3,", "user24,")),
            lambda: world.write(3, "7m"),
            lambda: file(5, original[5].replace("interval", "intervall")),
            lambda: world.write(3, "8m"),
            lambda: file(5, original[5]),
            lambda: file(6, original[6].replace("name: c6", "name: c7")),
            lambda: world.write(3, "9m"),
            lambda: file(6, original[6]),
            lambda: file(8, original[8].replace("spec:", "spec:\n  enabled: false")),
            lambda: file(8, original[8]),
            lambda: world.write(FEW),
            lambda: file(FEW + 1, original[4].replace("name: c4", "name: another")),
            lambda: gone(4),
            lambda: world.write(3, "10m"),
            lambda: gone(FEW),
            lambda: gone(FEW + 1),
            lambda: file(4, original[4]),
        ]
        for edit in edits:
            touched = edit()
            await world.controller.turn(only=[touched])
            await asyncio.sleep(2)
            await world.controller.turn(only=[])
            check()
        await world.loops.shut_down(5, 5)

    virtual(scenario)


def test_a_ledger_that_fails_loses_no_change(world: World) -> None:
    async def scenario() -> None:
        await world.controller.turn()
        world.registry.broken = True
        await world.controller.turn(only=[world.write(7, "10m")])
        assert world.controller.trouble
        world.registry.broken = False
        await world.controller.turn(only=[])
        assert [step.name for step in world.controller.plan.changes] == ["c7"]
        await world.loops.shut_down(5, 5)

    virtual(scenario)
