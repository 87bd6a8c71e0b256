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
"""Items. With fewer, starting processes would take longer than the work."""
MOST = 4
"""Processes: each takes 40 MB, and one process takes in what they find."""
_AT_ONCE = 100
_PASSED_ON = ("LANG", "LC_", "LD_", "PYTHON")
"""Beginnings of variables."""

T = TypeVar("T")
C = TypeVar("C")
R = TypeVar("R")
Work = Callable[[Sequence[T], C], list[R]]
"""A function of a module: what comes of some of the items, in their order, given what all have in
common."""


def spread(work: Work[T, C, R], items: Sequence[T], common: C) -> list[R]:
    """Return the results for all items, in their order. Raises what `work` raises."""
    processes = min(len(os.sched_getaffinity(0)), MOST)
    if len(items) < MANY or processes < 2:
        return work(items, common)
    parts = [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]
    waiting = deque(enumerate(parts))
    found: dict[int, list[R]] = {}
    with _collecting_nothing(), ThreadPoolExecutor(processes) as threads:
        attending = []
        with suppress(RuntimeError):  # no more threads (hazard R1): the rest is done here
            for _ in range(processes):  # a loop: those that did start are kept
                one = threads.submit(_attend, work, common, waiting, found)
                attending.append(one)
        try:
            for one in attending:
                one.result()
        finally:
            waiting.clear()
    return [
        one for number, part in enumerate(parts) for one in found.get(number) or work(part, common)
    ]


def _attend(
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
            start_new_session=True,
        ) as process,
    ):  # a Ctrl-C is for us
        _send(process.stdin, program())
        _send(process.stdin, (work, common))
        while True:
            number, part = waiting.popleft()
            _send(process.stdin, part)
            found[number] = _take(process.stdout)


def _send(pipe: Any, what: object) -> None:
    pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _take(pipe: Any) -> Any:
    return pickle.load(pipe)  # noqa: S301  # only what this program wrote comes through its pipes


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Suspend the garbage collector: the results hold no cycles, and each collection would go
    through all of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@functools.cache
def program() -> str:
    """Changes with every change of this program."""
    package = Path(__file__).parents[1]
    stamps = [
        (str(one.relative_to(package)), found.st_size, found.st_mtime_ns)
        for one in sorted(package.rglob("*.py"))
        for found in [one.stat()]
    ]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def serve() -> None:
    """Be such a process, until the other end of the pipe is closed."""
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # whoever told it to all of us waits for who asks, and that for this
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        if _take(source) == program():  # else another version was installed meanwhile
            work, common = _take(source)
            gc.freeze()  # what was imported is not gone through again and again
            while True:
                _send(sink, work(_take(source), common))
    os._exit(0)  # what could not be written is not to be tried again


if __name__ == "__main__":
    serve()
