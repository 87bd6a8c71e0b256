"""What the log says of manifests that break and are mended."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.captured_logs import capture_logs
from tests.control.manifests import save, text
from tests.control.test_controller import World


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    return root


async def said(world: World) -> list[dict[str, object]]:
    """In a turn, and in one that changes nothing."""
    with capture_logs() as logged:
        await world.turn()
        await world.controller.turn(everything=True)
    return [dict(line) for line in logged if line["event"] in {"invalid", "mended", "held"}]


def test_once_when_it_breaks_and_once_when_it_is_mended(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        save(root, "a")
        assert await said(world) == []
        save(root, "a", text("a", "4s"))
        save(root, "b", text("b", "4s").replace("username", "usrname"))
        a, b = await said(world)
        assert (a["log_level"], a["event"], a["last_good_runs"]) == ("warning", "invalid", "a")
        assert str(a["manifest"]).startswith(f"{root}/a.yaml:6:")
        assert a["rule"]
        assert "4s" in str(a["error"])
        assert (b["stalled"], b["errors"], "last_good_runs" in b) == ("b", 2, False)
        assert await said(world) == []
        save(root, "a")
        assert await said(world) == [
            {"event": "mended", "log_level": "info", "manifest": f"{root}/a.yaml"}
        ]
        (root / "b.yaml").unlink()
        assert [line["event"] for line in await said(world)] == ["mended"]

    asyncio.run(scenario())


def test_Y17_a_vanished_directory_and_held_collectors(root: Path) -> None:
    async def scenario() -> None:
        world = World(root)
        for name in ("a", "b"):
            save(root, name)
        await said(world)
        shutil.move(root, root.with_name("away"))
        [gone] = await said(world)
        assert gone["rule"] == "directory-vanished"
        shutil.copytree(root.with_name("away"), root, ignore=lambda *_: ["a.yaml", "b.yaml"])
        held = await said(world)
        assert {line["event"]: line.get("collectors") for line in held} == {
            "mended": None,
            "held": "a, b",
        }
        assert await said(world) == []

    asyncio.run(scenario())
