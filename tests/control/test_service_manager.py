"""What a service manager is told, and when: sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.service_manager import ServiceNotifier
from tests.control.manifests import save
from tests.control.test_daemon import REPOSITORY
from tests.control.virtual import virtual


@pytest.fixture(autouse=True)
def hang_up_ends() -> Iterator[None]:
    """Whoever runs the tests may ignore SIGHUP (nohup), and a daemon would keep to that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Manager:
    """Listens at $NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(30)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def heard(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def heard_so_far(self) -> list[str]:
        self.socket.setblocking(False)
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096).decode())
        return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = (
        str(tmp_path / "notify")
        if request.param == "path"
        else f"@mailcollector-{secrets.token_hex(8)}"
    )
    found = Manager(name)
    yield found
    found.socket.close()


@contextmanager
def daemon(root: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "tests.control.daemon_process",
        str(root),
        str(root.parent / "state"),
    ]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def during(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let it go on for so long, in virtual time."""

    async def run() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(work(), seconds)

    virtual(run)


def test_a_daemon_tells_its_whole_life(manager: Manager, tmp_path: Path) -> None:
    root = tmp_path / "collectors.d"
    root.mkdir()
    save(root, "a")
    with daemon(root, NOTIFY_SOCKET=manager.name) as process:
        assert manager.heard() == {"READY": "1", "STATUS": "1 collector runs"}
        save(root, "b")
        assert manager.heard() == {"STATUS": "2 collectors run"}
        (root / "c.yaml").write_text("kind: [")
        assert manager.heard() == {"STATUS": "2 collectors run; 1 error in the manifests"}
        process.send_signal(signal.SIGHUP)
        told = manager.heard()
        assert set(told) == {"RELOADING", "MONOTONIC_USEC"}
        assert manager.heard() == {"READY": "1"}
        process.send_signal(signal.SIGTERM)
        assert manager.heard() == {"STOPPING": "1", "STATUS": "ending"}
        assert process.wait(60) == 0


def test_nobody_is_told_anything_who_did_not_ask() -> None:
    supervisor = ServiceNotifier({"WATCHDOG_USEC": "1000"})
    supervisor.tell("READY=1")
    supervisor.turn_ended(ready=True, status="well")
    during(100, lambda: supervisor.run(lambda: pytest.fail("nobody asked")))


def test_the_watchdog_is_fed_only_while_the_control_loop_moves(manager: Manager) -> None:
    supervisor = ServiceNotifier(
        {
            "NOTIFY_SOCKET": manager.name,
            "WATCHDOG_USEC": "4000000",
            "WATCHDOG_PID": str(os.getpid()),
        }
    )
    moves = iter([True, True, False, False, True, *[False] * 100])
    during(19, lambda: supervisor.run(lambda: next(moves)))
    assert manager.heard_so_far() == ["WATCHDOG=1"] * 3
    assert list(moves) == [False] * 95  # asked twice in the watchdog's time: at 0, 2, … 18 seconds


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "٣"},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog(manager: Manager, environment: Mapping[str, str]) -> None:
    supervisor = ServiceNotifier({"NOTIFY_SOCKET": manager.name, **environment})
    during(60, lambda: supervisor.run(lambda: True))
    assert manager.heard_so_far() == []


def test_a_manager_that_does_not_read_is_told_later(manager: Manager) -> None:
    """The queue of a socket holds a few datagrams; nobody waits here for a place in it."""
    supervisor = ServiceNotifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000000"})
    sent = [f"STATUS={number}" for number in range(40)]
    for status in sent:
        supervisor.tell(status)
    heard = manager.heard_so_far()
    assert 0 < len(heard) < len(sent)
    while len(heard) < len(sent):
        during(0.1, lambda: supervisor.run(lambda: False))
        heard += manager.heard_so_far()
    assert heard == sent


def test_a_manager_that_comes_back_hears_what_it_missed(tmp_path: Path) -> None:
    supervisor = ServiceNotifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    supervisor.tell("READY=1", "STATUS=a\nSTOPPING=1")
    manager = Manager(str(tmp_path / "notify"))
    during(1, lambda: supervisor.run(lambda: True))
    assert manager.heard_so_far() == ["READY=1\nSTATUS=a STOPPING=1"]
    manager.socket.close()


@pytest.mark.parametrize(
    "name", ["relative/path", "vsock:2:1234", "/" + "x" * 200, "@" + "x" * 200, "/dev/null"]
)
def test_an_address_that_is_none_is_no_end(name: str) -> None:
    supervisor = ServiceNotifier({"NOTIFY_SOCKET": name})
    supervisor.tell("READY=1")
    during(20, lambda: supervisor.run(lambda: True))


def test_ready_is_told_once_and_a_status_when_it_is_another(manager: Manager) -> None:
    supervisor = ServiceNotifier({"NOTIFY_SOCKET": manager.name})
    for ready, status in (
        (False, "disk full"),
        (False, "disk full"),
        (True, "2 run"),
        (True, "2 run"),
        (True, "3 run"),
    ):
        supervisor.turn_ended(ready=ready, status=status)
    assert manager.heard_so_far() == ["STATUS=disk full", "READY=1\nSTATUS=2 run", "STATUS=3 run"]


def test_a_terminal_that_is_gone_ends_it_and_one_that_is_there_does_not(tmp_path: Path) -> None:
    root = tmp_path / "collectors.d"
    root.mkdir()
    manager = Manager(str(tmp_path / "notify"))
    ours, theirs = os.openpty()
    command = [
        "setsid",
        "--ctty",
        sys.executable,
        "-m",
        "tests.control.daemon_process",
        str(root),
        str(tmp_path / "state"),
    ]
    with (
        closing(manager.socket),
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": manager.name},
        ) as process,
    ):
        os.close(theirs)
        assert "READY" in manager.heard()
        process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.heard()
        assert "READY" in manager.heard()
        os.close(ours)
        assert "STOPPING" in manager.heard()
        assert process.wait(60) == 0
