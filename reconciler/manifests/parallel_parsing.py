"""Spread work on many files over several processes.

The processes are separate programs and not forks, because the caller has threads. They inherit
only their pipes and standard error. Their environment has only Python's and the loader's variables,
because others may hold secrets. A process ends when its pipe is closed, however this process ends.
If a process ends early, its work is done here.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

MANY = 500
"""The number of items from which processes are used. For fewer, starting them takes longer."""
MOST = 4
"""The greatest number of processes. Each takes 40 MB, and one process receives all results."""
_AT_ONCE = 100
_PASSED_ON = ("LANG", "LC_", "LD_", "PYTHON")
"""Prefixes of the environment variables that the processes inherit."""

T = TypeVar("T")
C = TypeVar("C")
R = TypeVar("R")
Work = Callable[[Sequence[T], C], list[R]]
"""A module-level function that returns the results of some items, in their order. The second
argument is common to all calls."""


def map_parallel(work: Work[T, C, R], items: Sequence[T], common: C) -> list[R]:
    """Return the results for all items, in their order. Raises what `work` raises."""
    processes = min(len(os.sched_getaffinity(0)), MOST)
    if len(items) < MANY or processes < 2:
        return work(items, common)
    parts = [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]
    waiting = deque(enumerate(parts))
    found: dict[int, list[R]] = {}
    with _collecting_nothing(), ThreadPoolExecutor(processes) as threads:
        attending = []
        with suppress(RuntimeError):  # no more threads (hazard R1): the rest is done below
            for _ in range(processes):  # no comprehension: threads that did start must be kept
                one = threads.submit(_feed_one, work, common, waiting, found)
                attending.append(one)
        try:
            for one in attending:
                one.result()
        finally:
            waiting.clear()
    return [
        one for number, part in enumerate(parts) for one in found.get(number) or work(part, common)
    ]


def _feed_one(
    work: Work[T, C, R],
    common: C,
    waiting: deque[tuple[int, Sequence[T]]],
    found: dict[int, list[R]],
) -> None:
    """Start one process and give it parts until none is left or it stops answering."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with (
        suppress(OSError, EOFError, pickle.UnpicklingError, IndexError),
        subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # so that Ctrl-C reaches this process only
        ) as process,
    ):
        _send(process.stdin, program_digest())
        _send(process.stdin, (work, common))
        while True:
            number, part = waiting.popleft()
            _send(process.stdin, part)
            found[number] = _take(process.stdout)


def _send(pipe: Any, what: object) -> None:
    pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _take(pipe: Any) -> Any:
    return pickle.load(pipe)  # noqa: S301  # only this program writes to its pipes


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Suspend the garbage collector. The results have no cycles, and each collection would scan all
    of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@functools.cache
def program_digest() -> str:
    """Return a digest that changes with every change of this program's files."""
    package = Path(__file__).parents[1]
    stamps = [
        (str(one.relative_to(package)), found.st_size, found.st_mtime_ns)
        for one in sorted(package.rglob("*.py"))
        for found in [one.stat()]
    ]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def serve() -> None:
    """Do the work of one process until the other end of the pipe is closed."""
    # A service manager that stops the whole group waits for the parent, which waits for this one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        if _take(source) == program_digest():  # else another version was installed
            work, common = _take(source)
            gc.freeze()  # exclude imported modules from later collections
            while True:
                _send(sink, work(_take(source), common))
    os._exit(0)  # do not flush output that could not be written


if __name__ == "__main__":
    serve()
