"""Watching the manifests' directory. An event only means "look again", and at most says where. What
changed is found by looking (hazard L13).

The directory may be swapped as a whole (git-sync's link, `mv`). The manifests may depend on files
elsewhere: the target of a link, git's HEAD, a secret that a collector waits for. So the directory
entries where that would happen are watched too. Some changes cause no event: on network file
systems, after a mount, when the queue of events has overflowed. The controller's timer finds those,
and then has everything watched anew.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from reconciler.control.event_loop import ThreadPool
from reconciler.control.watched_paths import entries_on_way
from reconciler.log import log
from reconciler.manifests.directory_walk import DirectoryVanished, walk
from reconciler.model.errors import NoThread

DEBOUNCE = 200
"""Milliseconds: in a storm of events the first wake-up comes after so long."""
STEP = 50
"""Milliseconds of silence that end a wait."""
_RETRY = 1.0
"""Seconds until a directory that is not there is tried again."""
_THREADS = 3
"""Threads that must be available before watching begins. watchfiles takes two, and ends the process
where it gets none (hazard R1). Something else may start one at the same moment."""
_DIRECTORIES = 2000
"""Directories that are watched at most. watchfiles holds the interpreter's lock while it begins to
watch, and begins anew whenever one is added. With 30,000 directories nothing else runs for
seconds."""
_BLIND = 5.0
"""Seconds between two wake-ups, and two attempts to watch, while the system refuses to report
events."""


Wake = Callable[[Collection[str] | None], None]
"""Takes the paths of the events; None: look everywhere."""


class Watcher:
    """Calls `wake` soon after anything in `directory` changed, and whenever watching begins
    anew."""

    def __init__(self, directory: Path, wake: Wake) -> None:
        self._directory = directory.absolute()
        self._elsewhere: frozenset[Path] = frozenset()
        self._wake = wake
        self._threads = ThreadPool("watching", 1)
        self._swapped = asyncio.Event()
        self._moved = asyncio.Event()
        self._refusal = ""
        self._interruption = ""
        self._lenient = False
        """Whether a directory that this process may not watch is left out; the others are
        watched."""

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._way_there())
            tasks.create_task(self._inside())

    def renew(self, elsewhere: frozenset[Path] = frozenset()) -> None:
        """Watch anew: the directory, or what it depends on, is another one than before.
        `elsewhere`: files outside of the directory that a look depends on, and links that lead out
        of it."""
        self._elsewhere = elsewhere
        self._moved.set()
        self._swapped.set()

    async def _way_there(self) -> None:
        while True:
            self._moved.clear()
            own = _WatchedEntries(entries_on_way(self._directory))
            entries = _WatchedEntries(
                entry
                for path in (self._directory, *self._elsewhere)
                for entry in entries_on_way(path)
            )
            self._wake_soon()
            async for paths in self._events(entries.parents, entries, self._moved):
                self._moved.set()  # links may lead elsewhere now
                if any(path in own for path in paths):
                    self._swapped.set()
            await _either(self._moved, self._pause)

    async def _inside(self) -> None:
        while True:
            self._swapped.clear()
            directories = await self._listed()
            self._wake_soon()
            if len(directories) > _DIRECTORIES:
                self._refused(f"there are more than {_DIRECTORIES:,} directories")
                await asyncio.sleep(_BLIND)
                continue
            own = _OwnFiles(self._directory)
            async for paths in self._events(directories, own, self._swapped):
                self._wake(paths)
                if any(path in directories or _is_entered(path) for path in paths):
                    self._swapped.set()
            await _either(self._swapped, self._pause)

    async def _listed(self) -> Collection[str]:
        """Return the directories to watch, each by itself: those that a look enters. A recursive
        watch would follow links, and might need minutes where they lead."""
        try:
            return (await self._threads.run(walk, self._directory)).holding()
        except (DirectoryVanished, NoThread):
            return {str(self._directory)}

    def _wake_soon(self) -> None:
        """Wake once awatch watches. It begins to watch before it first waits, so this wake-up finds
        what changed before that."""
        asyncio.get_running_loop().call_soon(self._wake, None)

    async def _events(
        self, paths: Iterable[str], concerns: Callable[[Change, str], bool], stop: asyncio.Event
    ) -> AsyncIterator[set[str]]:
        """Yield the paths of each burst of events. End when `stop` is set, or when a path cannot be
        watched."""
        try:
            _require_threads()
            async for burst in awatch(
                *paths,
                watch_filter=concerns,
                debounce=DEBOUNCE,
                step=STEP,
                stop_event=stop,
                recursive=False,
                ignore_permission_denied=self._lenient,
            ):
                self._refused("")
                yield {path for _, path in burst}
        except FileNotFoundError:
            return
        except PermissionError:
            self._lenient = True
        except (OSError, WatchfilesRustInternalError, _ThreadsExhausted) as error:
            self._refused(str(error))
        except ExceptionGroup as group:  # what is raised while awatch waits
            known, unknown = group.split(WatchfilesRustInternalError)
            if known is None or unknown is not None:
                raise
            self._interrupted(str(known.exceptions[0]))

    def _interrupted(self, reason: str) -> None:
        """Log that watching was interrupted, once for each reason. The reason is a new directory
        for which the system has no watch left, or a name that is not UTF-8."""
        if reason != self._interruption:
            log.warning("watching the manifests was interrupted, and begins anew", error=reason)
        self._interruption = reason

    @property
    def _pause(self) -> float:
        return _BLIND if self._refusal else _RETRY

    def _refused(self, refusal: str) -> None:
        if refusal and refusal != self._refusal:
            log.warning(
                "changes of the manifests are not told by the system, so they are looked for",
                every=f"{_BLIND:.0f}s",
                error=refusal,
            )
        self._refusal = refusal


class _ThreadsExhausted(Exception):
    """The system starts no more threads now."""


def _require_threads() -> None:
    """Raise _ThreadsExhausted where fewer threads are available than watching needs."""
    over = threading.Event()
    started = []
    try:
        for _ in range(_THREADS):
            thread = threading.Thread(target=over.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:  # "can't start new thread"
        raise _ThreadsExhausted(str(error)) from error
    finally:
        over.set()
        for thread in started:
            thread.join()


class _WatchedEntries:
    """A filter: only events of these directory entries pass, or of their directories."""

    def __init__(self, found: Iterable[Path]) -> None:
        entries = frozenset(found)
        self.parents = frozenset(str(entry.parent) for entry in entries)
        self._concerned = self.parents.union(map(str, entries))

    def __contains__(self, path: str) -> bool:
        return path in self._concerned

    def __call__(self, _change: Change, path: str) -> bool:
        return path in self._concerned


class _OwnFiles:
    """A filter: all events pass but those of git's own files. Those of them that matter are watched
    by name."""

    def __init__(self, directory: Path) -> None:
        self._length = len(str(directory))

    def __call__(self, _change: Change, path: str) -> bool:
        return "/.git/" not in path[self._length :]


def _is_entered(path: str) -> bool:
    """Return whether a look enters this directory."""
    name = os.path.basename(path)  # noqa: PTH119  # paths are text here
    return not (name.startswith(".") or name.endswith("~")) and os.path.isdir(path)  # noqa: PTH112


async def _either(event: asyncio.Event, pause: float) -> None:
    """Wait for `event`, at most `pause` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(pause):
            await event.wait()
