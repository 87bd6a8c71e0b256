"""A default Destination that would take the mail of many collectors elsewhere is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.control.observation import REROUTE
from reconciler.planning.reconcile_plan import Hold, Plan, Replace
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import save, text
from tests.control.test_controller import World, said
from tests.control.test_hostile import in_a_loop


def destination(name: str, path: str, *, default: bool = True) -> str:
    return (
        f"apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {{name: {name}}}\n"
        f"spec: {{default: {str(default).lower()}, maildir: {{path: '{path}'}}}}\n"
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    for name in ("a", "b"):
        save(root, name)
    save(root, "named", text("named", destination="old"))
    save(root, "old", destination("old", "/mail/old"))
    return root


def goes_to(world: World) -> dict[str, str]:
    found = {}
    for name, one in world.loops.actual().items():
        maildir = one.destination and one.destination.maildir
        found[name] = maildir.path if maildir else "built-in"
    return found


def held(plan: Plan) -> set[str]:
    return {step.name for step in plan.steps if isinstance(step, Hold)}


@in_a_loop
async def test_a_default_that_reroutes_many_is_held_across_a_restart(root: Path) -> None:
    world = World(root)
    await world.turn()
    save(root, "old", destination("old", "/mail/old", default=False))
    save(root, "new", destination("new", "/mail/new"))
    shown = await world.turn()
    before = {"a": "/mail/old", "b": "/mail/old", "named": "/mail/old"}
    assert goes_to(world) == before
    assert held(world.controller.plan) == {"a", "b"}
    reason = next(step.reason for step in world.controller.plan.steps if step.name == "a")
    assert "the mail of 2 collectors" in reason
    assert "'new'" in reason
    assert "'old'" in reason
    assert ".allow-reroute" in reason
    assert said(shown["a"])["Stalled"] == "True Held"
    again = World(root, world.registry)
    await again.turn()
    assert goes_to(again) == before
    save(root, "a", text("a", "1h"))  # its own change is not held
    save(root, "c")  # until then the default is what it was, for new ones too
    for _ in range(2):
        await again.turn()
        assert goes_to(again) == before | {"c": "/mail/old"}
    assert again.loops.actual()["a"].effective.collect.interval == "1h"
    (root / REROUTE).touch()
    await again.turn()
    assert goes_to(again) == {
        "a": "/mail/new",
        "b": "/mail/new",
        "c": "/mail/new",
        "named": "/mail/old",
    }
    told = {
        step.name: step.consequences
        for step in again.controller.plan.steps
        if isinstance(step, Replace)
    }
    assert told["a"] == ("another destination: its mail goes to new, no longer to old",)
    (root / REROUTE).unlink()
    await again.turn()
    assert held(again.controller.plan) == set()
    last = World(root, again.registry)
    await last.turn()
    assert goes_to(last) == goes_to(again)


@in_a_loop
async def test_a_held_change_is_confirmed_by_its_reason(root: Path) -> None:
    world = World(root)
    await world.turn()
    save(root, "old", destination("old", "/mail/old", default=False))
    save(root, "new", destination("new", "/mail/new"))
    await world.turn()
    reason = next(step.reason for step in world.controller.plan.steps if step.name == "a")
    await world.controller.confirm_rerouting("another change")
    assert held(world.controller.plan) == {"a", "b"}
    await world.controller.confirm_rerouting(reason)
    after = {"a": "/mail/new", "b": "/mail/new", "named": "/mail/old"}
    assert goes_to(world) == after
    save(root, "new", destination("new", "/mail/newer"))  # another one is held again
    await world.turn()
    assert held(world.controller.plan) == {"a", "b"}
    assert goes_to(world) == after


@pytest.mark.parametrize("change", ["path", "kind"])
def test_the_default_s_own_place_counts_as_well(root: Path, change: str) -> None:
    @in_a_loop
    async def scenario() -> None:
        world = World(root)
        await world.turn()
        save(
            root,
            "old",
            destination("old", "/mail/elsewhere")
            if change == "path"
            else destination("old", "x").replace(
                "maildir: {path: 'x'}", "lmtp: {host: 127.0.0.1, port: 24}"
            ),
        )
        await world.turn()
        assert {name: where for name, where in goes_to(world).items() if name != "named"} == {
            "a": "/mail/old",
            "b": "/mail/old",
        }
        save(root, "old", destination("old", "/mail/old"))
        await world.turn()
        assert held(world.controller.plan) == set()
        assert set(goes_to(world).values()) == {"/mail/old"}

    scenario()


@in_a_loop
async def test_a_first_default_is_held_too_and_a_single_collector_is_not(tmp_path: Path) -> None:
    root = tmp_path / "m"
    root.mkdir()
    save(root, "a")
    world = World(root)
    await world.turn()
    save(root, "d", destination("d", "/mail/d"))
    await world.turn()
    assert goes_to(world) == {"a": "/mail/d"}
    (root / "d.yaml").unlink()
    save(root, "b")
    other = World(root, MemoryRegistry())
    await other.turn()
    assert goes_to(other) == {"a": "built-in", "b": "built-in"}
    save(root, "d", destination("d", "/mail/d"))
    await other.turn()
    assert goes_to(other) == {"a": "built-in", "b": "built-in"}
    assert held(other.controller.plan) == {"a", "b"}
