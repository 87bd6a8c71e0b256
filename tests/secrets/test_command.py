"""Programs that print a secret: what they get, and when they are over."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.model.errors import SecretUnavailable
from reconciler.model.manifest_policy import Allowed, enforce
from reconciler.model.spec import SecretRef
from reconciler.secrets import read_secret, secret_command
from reconciler.secrets.secret_command import run_command


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[Path]:
    """Where a program writes the number of the one that it leaves running."""
    file = tmp_path / "pid"
    yield file
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(int(file.read_text()), signal.SIGKILL)


def test_B8_what_a_program_leaves_running_with_its_output_is_not_waited_for(
    left_behind: Path,
) -> None:
    began = time.monotonic()
    assert (
        run_command(["/bin/sh", "-c", f"echo hunter2; sleep 600 & echo $! > {left_behind}"], 100)
        == b"hunter2\n"
    )
    assert time.monotonic() - began < 200


@pytest.mark.parametrize(
    "script",
    [
        # silent, beyond its process group, and the program itself has ended
        "setsid sleep 600 & echo $! > {file}",
        "sleep 600 & echo $! > {file}; wait",
        "trap '' TERM; setsid sleep 600 & echo $! > {file}; while :; do sleep 1; done",
        "while :; do printf .; sleep 0.05; done",
    ],
)
def test_B8_reading_ends_at_the_deadline_whoever_keeps_the_pipe(
    script: str, left_behind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_command, "TIMEOUT", 0.5)
    began = time.monotonic()
    with pytest.raises(SecretUnavailable):
        read_secret(
            SecretRef(command=("/bin/sh", "-c", script.replace("{file}", str(left_behind))))
        )
    assert time.monotonic() - began < 200


def test_a_program_is_ended_when_nobody_waits_for_its_secret_any_more() -> None:
    """So that slow ones keep no session's place for the whole of their deadline, once others wait
    for that."""
    cancelled: Future[None] = Future()
    threading.Timer(0.2, cancelled.set_result, (None,)).start()
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match="given up"):
        read_secret(SecretRef(command=("/bin/sh", "-c", "sleep 600 & sleep 600")), cancelled)
    assert time.monotonic() - began < 200


def test_what_a_program_has_started_ends_with_it(
    left_behind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_command, "TIMEOUT", 2.0)
    with pytest.raises(SecretUnavailable, match="within 2 seconds"):
        run_command(["/bin/sh", "-c", f"sleep 600 & echo $! > {left_behind}; wait"], 100)
    assert _ends(int(left_behind.read_text()))


def _ends(process: int) -> bool:
    """Whether it is gone soon, or waits only for its parent to hear of it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_an_endless_output_is_cut_and_its_program_ended() -> None:
    assert len(run_command(["/usr/bin/env", "yes"], 1000)) == 1001


def test_E11_a_program_gets_nothing_that_is_meant_for_us_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILCOLLECTOR_STATE", "postgresql://u:hunter2@db/x")
    monkeypatch.setenv("SALES_PASSWORD", "hunter2")
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    printing = [
        sys.executable,
        "-c",
        "import os; print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))",
    ]
    seen = run_command(printing, 100_000).decode()
    assert "hunter2" not in seen
    assert "VAULT" not in seen
    assert {"PATH", "LC_ALL"} <= {line.partition("=")[0] for line in seen.splitlines()}
    enforce(Allowed(file="/etc/policy.yaml", variables_passed_on=("VAULT_*", "MAILCOLLECTOR_*")))
    try:
        again = run_command(printing, 100_000).decode()
    finally:
        enforce(Allowed())
    assert "VAULT_ADDR=https://vault.example" in again
    assert "MAILCOLLECTOR" not in again


def test_it_leads_a_process_group_of_its_own() -> None:
    printing = [
        sys.executable,
        "-c",
        "import os; print(os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid())",
    ]
    assert run_command(printing, 100) == b"True True\n"


def test_a_program_whose_name_is_no_path_is_an_error_that_says_so() -> None:
    with pytest.raises(SecretUnavailable, match="cannot start"):
        run_command(["a\0b"], 100)


def test_a_program_that_prints_as_much_as_it_may_has_to_succeed_as_well() -> None:
    assert run_command(["/bin/sh", "-c", "printf 12345"], 5) == b"12345"
    with pytest.raises(SecretUnavailable):
        run_command(["/bin/sh", "-c", "printf 12345; exit 3"], 5)
