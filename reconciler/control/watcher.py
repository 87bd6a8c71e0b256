"""Watching the manifests' directory. An event only says "look again", at most where: what changed is found by looking
(hazard 1.13).

The directory may be swapped as a whole (git-sync's link, a mount, `mv`), so the places where that would happen are
watched too: its parent, and the parent of each link on the way to it. What no event tells (network file systems) the
controller's timer finds, and then it has everything watched anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, awatch

DEBOUNCE = 200
"""Milliseconds: in a storm of events the first wake-up comes after so long."""
STEP = 50
"""Milliseconds of silence that end a wait."""
_RETRY = 1.0
"""Seconds until a directory that cannot be watched is tried again."""


Wake = Callable[[Collection[str] | None], None]
"""Given the paths that events told of; None: look everywhere."""


class Watcher:
    """Calls `wake` soon after anything in `directory` changed, and whenever watching begins anew."""

    def __init__(self, directory: Path, wake: Wake) -> None:
        self._directory = directory.absolute()
        self._wake = wake
        self._swapped = asyncio.Event()
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Ends only when it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._way_there())
            tasks.create_task(self._inside())

    def renew(self) -> None:
        """The directory is another one than before: watch that."""
        self._moved.set()
        self._swapped.set()

    async def _way_there(self) -> None:
        while True:
            self._moved.clear()
            swappable = {place for place in (self._directory, *self._directory.parents)
                         if place == self._directory or place.is_symlink()}
            names = {place.name for place in swappable}
            concerns = _Named(names)
            async for _ in _events({place.parent for place in swappable}, concerns, self._moved, recursive=False):
                self._swapped.set()
                self._wake(None)
            await _either(self._moved, _RETRY)

    async def _inside(self) -> None:
        while True:
            self._swapped.clear()
            # awatch begins to watch before it first waits, so this wake-up finds whatever came before that
            asyncio.get_running_loop().call_soon(self._wake, None)
            async for paths in _events({self._directory}, None, self._swapped, recursive=True):
                self._wake(paths)
            await _either(self._swapped, _RETRY)


class _Named:
    """Lets only events pass that concern entries of these names."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def __call__(self, _change: Change, path: str) -> bool:
        return Path(path).name in self._names


async def _events(paths: set[Path], concerns: Callable[[Change, str], bool] | None, stop: asyncio.Event, *,
                  recursive: bool) -> AsyncIterator[set[str]]:
    """The paths of each burst of events; ends when `stop` is set or a path cannot be watched."""
    try:
        async for burst in awatch(*paths, watch_filter=concerns, debounce=DEBOUNCE, step=STEP, stop_event=stop,
                              recursive=recursive, ignore_permission_denied=True):
            yield {path for _, path in burst}
    except OSError:
        return


async def _either(event: asyncio.Event, pause: float) -> None:
    """Wait for `event`, but not for ever."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), pause)
