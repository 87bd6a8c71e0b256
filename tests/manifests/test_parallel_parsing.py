"""Work in other processes: the same results, no inherited secrets, and no process left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.manifests import parallel_parsing
from reconciler.manifests.parallel_parsing import map_parallel

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_parsing, "MANY", 8)
    monkeypatch.setattr(parallel_parsing, "_AT_ONCE", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def where(items: Sequence[int], offset: int) -> list[tuple[int, int]]:
    return [(item + offset, os.getpid()) for item in items]


def surroundings(items: Sequence[int], _: None) -> list[tuple[dict[str, str], list[str]]]:
    """Return the environment, and the targets of the open descriptors."""
    open_files = []
    for number in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the list's own
            open_files.append(str(number.readlink()))
    return [(dict(os.environ), open_files)] * len(items)


def fatal(items: Sequence[int], here: int) -> list[int]:
    """End any process but the caller's."""
    if os.getpid() != here and 5 in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return list(items)


def wrong(items: Sequence[int], _: None) -> list[int]:
    raise KeyError(items[0])


def waiting(items: Sequence[int], place: str) -> list[int]:
    """Report the process as busy, and wait for the permission to continue."""
    Path(place, f"{os.getpid()}.works").touch()
    while not Path(place, "go").exists():
        time.sleep(0.01)
    return list(items)


def test_what_comes_of_them_is_in_their_order_and_the_processes_are_gone() -> None:
    found = map_parallel(where, list(range(21)), 100)
    assert [item for item, _ in found] == list(range(100, 121))
    processes = {process for _, process in found}
    assert os.getpid() not in processes
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_few_are_done_here() -> None:
    assert {process for _, process in map_parallel(where, list(range(7)), 0)} == {os.getpid()}


def test_secrets_and_sockets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    with socket.socket() as listening:
        listening.set_inheritable(True)
        for environment, open_files in map_parallel(surroundings, list(range(8)), None):
            assert "hunter2" not in environment.values()
            assert not [
                name for name in environment if not name.startswith(parallel_parsing._PASSED_ON)
            ]
            assert str(Path("/proc/self/fd", str(listening.fileno())).readlink()) not in open_files


def test_what_a_killed_one_left_is_done_here() -> None:
    assert map_parallel(fatal, list(range(20)), os.getpid()) == list(range(20))


def test_none_that_can_be_started_is_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    assert map_parallel(where, list(range(9)), 1) == where(range(9), 1)


def test_another_version_of_the_program_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_parsing, "program_digest", lambda: "the one before")
    assert map_parallel(where, list(range(9)), 1) == where(range(9), 1)


def test_a_defect_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError):
        map_parallel(wrong, list(range(8)), None)
    assert "KeyError" in capfd.readouterr().err


def test_the_processes_end_with_one_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "from reconciler.manifests import parallel_parsing\n"
        "from tests.manifests.test_parallel_parsing import waiting\n"
        "parallel_parsing.MANY, parallel_parsing._AT_ONCE, os.sched_getaffinity = 8, 2, lambda _: "
        "{0, 1}\n"
        f"parallel_parsing.map_parallel(waiting, list(range(20)), {str(tmp_path)!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as killed:
        working = _awaited(tmp_path, 2)
        killed.kill()
    (tmp_path / "go").touch()
    deadline = time.monotonic() + PATIENCE
    while any(map(_lives, working)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(process: int) -> bool:
    """Return whether a process exists. A zombie has no command line."""
    try:
        return bool(Path("/proc", str(process), "cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _awaited(place: Path, number: int) -> list[int]:
    """Wait for this number of busy processes, and return them."""
    deadline = time.monotonic() + PATIENCE
    while len(found := [int(path.stem) for path in place.glob("*.works")]) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
