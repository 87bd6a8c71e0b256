"""A process that has imported pytest and all libraries, but nothing of the program.

It forks for every change. The child imports the changed program and runs its tests, so a change
costs about what its tests cost. `python -m tests.mutants.forking DIRECTORY …` reads a line of JSON
for each run, `{"tests": […], "seconds": …}`, and answers with one: which test failed first, `""`
where none did, null where the run did not end in time. The directories are those of the tests that
may be asked for.

With `--in-place` first it imports the program as well, once: `in_place`. The question has then
`"path"` of the module and its `"sources"`, before and after, too, and the answer is false where the
change cannot be made so."""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mutants.in_place import Change, Functions

_OURS = ("reconciler", "tests", "__main__", "conftest")
_QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
_QUIET += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
_BUSY = 8
"""Other programs may take so much of the machine."""
_FAILED = Path.cwd() / "mutants.failed"
_FAILED_HERE = Path.cwd() / "mutants.failed.in-place"
_IMPORTED = Path.cwd() / "mutants.modules"


class FirstFailure:
    """A plugin that keeps which test failed first."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._kept.exists():
            self._kept.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self._kept.exists():
            self._kept.write_text(f"import of {report.nodeid}")


def run(tests: Sequence[str], seconds: float) -> str | None:
    _FAILED.unlink(missing_ok=True)
    code = forked(lambda: pytest.main([*_QUIET, "-x", *tests], [FirstFailure(_FAILED)]), seconds)
    if code is None:
        return None
    if _FAILED.exists():
        return _FAILED.read_text()
    return "" if code == 0 else f"pytest ended with {code}"


def forked(work: Callable[[], int], seconds: float | None) -> int | None:
    """Run `work` in a process group of its own and return what it returns, None where it did not
    end within so many seconds of processor time, or `_BUSY` times as long by the clock."""
    child = os.fork()
    if not child:
        os.setsid()
        if seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = 3
        try:
            code = work()
        finally:
            os._exit(code)
    until = None if seconds is None else time.monotonic() + _BUSY * seconds
    try:
        while until is None or time.monotonic() < until:
            ended, status = os.waitpid(child, 0 if until is None else os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def import_libraries(directories: Sequence[str]) -> None:
    """Import what the tests import. A child finds out what that is, and leaves the compiled form of
    every module behind."""

    def collect() -> int:
        pytest.main([*_QUIET, "--collect-only", *directories])
        _IMPORTED.write_text("\n".join(sys.modules))
        return 0

    forked(collect, None)
    for name in _IMPORTED.read_text().splitlines():
        if name.partition(".")[0] not in _OURS:
            with suppress(ImportError, AttributeError):
                importlib.import_module(name)


class InPlace:
    """A plugin that runs, instead of the tests that were collected, those of each question."""

    def __init__(self) -> None:
        self._questions = os.fdopen(os.dup(0))  # pytest captures what has these numbers
        self._answers = os.fdopen(os.dup(1), "w")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        functions = Functions(Path.cwd())
        items = {item.nodeid: item for item in session.items}
        sys.dont_write_bytecode = True  # a change may keep size and second of the file
        print("ready", file=self._answers, flush=True)
        for line in self._questions:
            asked = json.loads(line)
            changes = functions.changes(str(Path.cwd() / asked["path"]), *asked["sources"])
            known = [items[test] for test in asked["tests"] if test in items]
            failed = _run_changed(session, changes, known, asked["seconds"]) if changes else False
            print(json.dumps(failed), file=self._answers, flush=True)
        return True


def _run_changed(
    session: pytest.Session, changes: Sequence[Change], items: Sequence[pytest.Item], limit: float
) -> str | None:
    def work() -> int:
        for function, code in changes:
            function.__code__ = code
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if _FAILED_HERE.exists():
                return 1
        return 0

    _FAILED_HERE.unlink(missing_ok=True)
    code = forked(work, limit)
    if code is None:
        return None
    if _FAILED_HERE.exists():
        return _FAILED_HERE.read_text()
    return "" if code == 0 else f"pytest ended with {code}"


def main() -> None:
    if sys.argv[1] == "--in-place":
        plugin = InPlace()
        with Path(os.devnull).open("w") as null:
            os.dup2(null.fileno(), 1)
        pytest.main([*_QUIET, *sys.argv[2:]], [FirstFailure(_FAILED_HERE), plugin])
        return
    import_libraries(sys.argv[1:])
    sys.dont_write_bytecode = True  # a change may keep size and second of the file
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(run(asked["tests"], asked["seconds"])), flush=True)


if __name__ == "__main__":
    main()
