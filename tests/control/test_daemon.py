"""The daemon as a process: how it starts, acts and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.control.manifests import save, text

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def daemon(root: Path, state: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.control.daemon_process", str(root), str(state), *words]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str], wanted: str) -> None:
    """Wait for this line of a session; the log is passed over."""
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == wanted:
            return
    raise AssertionError(f"the daemon ended without {wanted!r}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    return root


def test_it_acts_on_saved_files_and_ends_well_when_told(root: Path, tmp_path: Path) -> None:
    save(root, "a")
    with daemon(root, tmp_path / "state") as process:
        line(process, "a 5m")
        save(root, "b")
        line(process, "b 5m")
        save(root, "b", text("b", "1h"))
        line(process, "b 1h")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_what_hangs_does_not_keep_it_from_ending(root: Path, tmp_path: Path) -> None:
    save(root, "a")
    with daemon(root, tmp_path / "state", "stubborn") as process:
        line(process, "a 5m")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_second_signal_ends_it_at_once(root: Path, tmp_path: Path) -> None:
    save(root, "a")
    with daemon(root, tmp_path / "state", "stubborn") as process:
        line(process, "a 5m")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in {0, 128 + signal.SIGINT}


def test_sigterm_said_twice_is_said_once(root: Path, tmp_path: Path) -> None:
    save(root, "a")
    with daemon(root, tmp_path / "state", "stubborn") as process:
        line(process, "a 5m")
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert process.wait(60) == 0


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with daemon(tmp_path / "nowhere", tmp_path / "state") as process:
        assert process.wait(60) == 2


def test_R7_the_second_daemon_refuses(root: Path, tmp_path: Path) -> None:
    save(root, "a")
    with daemon(root, tmp_path / "state") as first:
        line(first, "a 5m")
        with daemon(root, tmp_path / "state") as second:
            assert second.wait(60) == 1
            assert second.stderr is not None
            assert str(first.pid) in second.stderr.read()
