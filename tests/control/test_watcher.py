"""Wake-ups from real file systems: within moments of a change, whatever is swapped."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from watchfiles import Change
from watchfiles._rust_notify import WatchfilesRustInternalError

from reconciler.control import watcher
from reconciler.control.watcher import Watcher
from tests.captured_logs import capture_logs

GENEROUS = 20.0


class Wakes:
    """Counts wake-ups; `after` waits for one that an action causes."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def __call__(self, paths: Collection[str] | None) -> None:
        self._woken.set()

    async def soon(self) -> bool:
        """Whether something wakes within the time in which events are told."""
        self._woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), 0.4)
        return self._woken.is_set()

    async def quiet(self) -> None:
        """Until nothing wakes any more."""
        while True:
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), 0.4)
            except TimeoutError:
                return

    async def after(self, action: Callable[[], object]) -> None:
        self._woken.clear()
        action()
        await asyncio.wait_for(self._woken.wait(), GENEROUS)


@asynccontextmanager
async def watching(directory: Path) -> AsyncIterator[tuple[Watcher, Wakes]]:
    wakes = Wakes()
    watcher = Watcher(directory, wakes)
    task = asyncio.create_task(watcher.run())
    try:
        await wakes.quiet()
        yield watcher, wakes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_files_wake_at_any_depth(tmp_path: Path) -> None:
    async def scenario() -> None:
        root = tmp_path / "collectors.d"
        (root / "team").mkdir(parents=True)
        async with watching(root) as (_, wakes):
            await wakes.after(lambda: (root / "a.yaml").write_text("a"))
            await wakes.quiet()
            await wakes.after(lambda: (root / "team" / "b.yaml").write_text("b"))
            await wakes.quiet()
            await wakes.after((root / "a.yaml").unlink)

    asyncio.run(scenario())


def test_Y17_a_directory_that_vanishes_and_comes_back_is_watched_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        root = tmp_path / "collectors.d"
        root.mkdir()
        async with watching(root) as (_, wakes):
            await wakes.after(lambda: root.rename(tmp_path / "away"))
            await wakes.after(lambda: (tmp_path / "away").rename(root))
            await wakes.quiet()
            await wakes.after(lambda: (root / "a.yaml").write_text("a"))

    asyncio.run(scenario())


def test_a_swapped_link_on_the_way_is_noticed_and_the_new_place_watched(tmp_path: Path) -> None:
    async def scenario() -> None:
        for tree in ("one", "two"):
            (tmp_path / tree / "collectors.d").mkdir(parents=True)
        (tmp_path / "current").symlink_to("one")
        async with watching(tmp_path / "current" / "collectors.d") as (_, wakes):
            (tmp_path / "next").symlink_to("two")
            await wakes.after(lambda: (tmp_path / "next").replace(tmp_path / "current"))
            await wakes.quiet()
            await wakes.after(
                lambda: (tmp_path / "two" / "collectors.d" / "a.yaml").write_text("a")
            )

    asyncio.run(scenario())


def test_renew_watches_what_stands_there_now(tmp_path: Path) -> None:
    async def scenario() -> None:
        root = tmp_path / "parent" / "collectors.d"
        root.mkdir(parents=True)
        async with watching(root) as (watcher, wakes):
            root.parent.rename(tmp_path / "away")
            root.mkdir(parents=True)
            await wakes.after(watcher.renew)
            await wakes.quiet()
            await wakes.after(lambda: (root / "a.yaml").write_text("a"))

    asyncio.run(scenario())


def test_where_the_system_tells_of_nothing_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """inotify has run out of instances, or of watches."""

    def refuse(*_: object, **__: object) -> AsyncIterator[set[tuple[Change, str]]]:
        raise WatchfilesRustInternalError("Too many open files")

    async def scenario() -> None:
        wakes = Wakes()
        task = asyncio.create_task(Watcher(tmp_path, wakes).run())
        for _ in range(5):
            await wakes.after(lambda: None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(watcher, "awatch", refuse)
    monkeypatch.setattr(watcher, "_BLIND", 0.01)
    with capture_logs() as logged:
        asyncio.run(scenario())
    assert [line["error"] for line in logged] == ["Too many open files"]


def test_a_place_elsewhere_wakes_and_what_happens_beside_it_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        root, elsewhere = tmp_path / "collectors.d", tmp_path / "elsewhere"
        for place in (root, elsewhere):
            place.mkdir()
        async with watching(root) as (watched, wakes):
            watched.renew(frozenset({elsewhere / "HEAD"}))
            await wakes.quiet()
            (elsewhere / "index").write_text("noise")
            assert not await wakes.soon()
            await wakes.after(lambda: (elsewhere / "HEAD").write_text("ref"))

    asyncio.run(scenario())


NO_THREADS = """
import asyncio, resource, sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from reconciler.cli.log_output import configure
from reconciler.control import watcher

async def scenario():
    configure("text", "info")
    watcher._BLIND = 0.05
    wakes = asyncio.Queue()
    root = Path(sys.argv[1])
    room = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # no room for another thread's stack
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), room[1]))
    task = asyncio.create_task(watcher.Watcher(root, wakes.put_nowait).run())
    for _ in range(5):
        await asyncio.wait_for(wakes.get(), 20)
    print("looks without threads", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, room)
    async with asyncio.timeout(20):
        told = None
        while told is None:
            (root / "a.yaml").write_text("a")
            with suppress(TimeoutError):
                told = await asyncio.wait_for(wakes.get(), 0.1)
    print("told of events again", flush=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

asyncio.run(scenario())
"""


def test_M4_R1_where_there_is_no_thread_the_process_lives_and_looks_for_changes(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_THREADS, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said == ["looks without threads", "told of events again"]
    assert "can't start new thread" in done.stderr


def test_N1_directories_are_watched_that_a_look_enters_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links to a whole machine, to a loop, to a shared directory, to a file in a hidden one; a new
    directory."""
    root, shared, all_of_them = tmp_path / "collectors.d", tmp_path / "shared", asyncio.Event()
    expected = {str(root / name) for name in ("", "team", ".store", "shared", "shared/deep")}
    for directory in (root / ".store", root / "team", shared / "deep"):
        directory.mkdir(parents=True)
    (root / ".store" / "kept").write_text("a")
    for name, target in {
        "all": "/",
        "up": "..",
        "self": ".",
        "shared": str(shared),
        "kept.yaml": ".store/kept",
        "team/all": "/",
    }.items():
        (root / name).symlink_to(target)
    real = watchfiles.awatch

    def awatch(*paths: str, recursive: bool, **options: Any) -> AsyncIterator[Any]:
        assert not recursive
        if set(paths) == expected:
            all_of_them.set()
        return real(*paths, recursive=False, **options)

    monkeypatch.setattr(watcher, "awatch", awatch)

    async def scenario() -> None:
        async with watching(root) as (_, wakes):
            await asyncio.wait_for(all_of_them.wait(), GENEROUS)
            await wakes.quiet()
            await wakes.after(lambda: (shared / "deep" / "a.yaml").write_text("a"))
            await wakes.quiet()
            await wakes.after(lambda: (root / ".store" / "kept").write_text("b"))
            await wakes.quiet()
            await wakes.after((root / "team" / "new").mkdir)
            await wakes.quiet()
            await wakes.after(lambda: (root / "team" / "new" / "a.yaml").write_text("a"))

    asyncio.run(scenario())


def test_more_directories_than_are_watched_are_looked_at_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beginning to watch very many would hold up everybody."""
    monkeypatch.setattr(watcher, "_DIRECTORIES", 3)
    monkeypatch.setattr(watcher, "_BLIND", 0.2)
    for number in range(4):
        (tmp_path / str(number)).mkdir()

    async def scenario() -> None:
        woken = asyncio.Event()
        task = asyncio.create_task(Watcher(tmp_path, lambda _: woken.set()).run())
        for _ in range(3):
            woken.clear()
            await asyncio.wait_for(woken.wait(), GENEROUS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with capture_logs() as told:
        asyncio.run(scenario())
    assert "there are more than 3 directories" in str(told)
