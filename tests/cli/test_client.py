"""The way to the daemon: found, not found, not allowed, gone, of another version."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import sales


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon whose socket's path is longer than `sockaddr_un` holds."""
    server = FakeDaemon(tmp_path / ("d" * 100) / ("e" * 100), [sales()], tmp_path / "collectors.d")
    yield server
    server.stop()


def test_path_of_any_length(run: Run, deep: FakeDaemon, elsewhere: Path) -> None:
    assert run("get", "-o", "name", "--state-dir", f"{'d' * 100}/{'e' * 100}").stdout == "sales\n"


def test_no_proxy_of_the_environment_is_asked(run: Run, daemon: FakeDaemon) -> None:
    nobody = "http://127.0.0.1:1"

    assert run("get", "-o", "name", env={"HTTP_PROXY": nobody, "ALL_PROXY": nobody}).exit_code == 0


def test_socket_that_a_killed_daemon_left_behind_is_no_daemon(
    run: Run, app: FakeApp, elsewhere: Path
) -> None:
    (elsewhere / "state").mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind("state/control.sock")

    assert run("get", "-o", "name").stdout == "sales\ninfo\n"


def test_state_directory_without_a_socket_is_no_daemon(
    run: Run, app: FakeApp, elsewhere: Path
) -> None:
    (elsewhere / "state").mkdir()

    assert run("get", "-o", "name").exit_code == 0


def test_state_directory_that_is_a_file(run: Run, app: FakeApp, elsewhere: Path) -> None:
    (elsewhere / "state").write_text("", encoding="utf-8")

    result = run("get", "--state-dir", "state/below")

    assert result.exit_code == 1
    assert result.stderr == "mailcollector: state/below: Not a directory\n"


def test_socket_of_somebody_else(
    run: Run, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("reconciler.cli.connect.socket.socket.connect", forbidden)

    result = run("get")

    assert result.exit_code == 1
    assert result.stderr == (
        "mailcollector: no permission to use state/control.sock: only the user that runs the "
        "daemon, and root, may\n"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"oops"), "the daemon answered with HTTP status 500"),
        ((503, {"error": {"reason": "LedgerUnavailable", "message": "disk full"}}), "disk full"),
        ((200, b"<html>"), "is it of another version"),
        (
            (200, [{"metadata": {"name": "x"}, "spec": {}, "status": {"surprise": 1}}]),
            "is of another version",
        ),
    ],
)
def test_answers_that_are_none(
    run: Run, daemon: FakeDaemon, answer: tuple[int, object], said: str
) -> None:
    daemon.answers["GET /collectors"] = answer

    result = run("get")

    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_daemon_that_hangs_up(run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cli.fake_daemon.FakeDaemon.finish_request", lambda *_: None)
    server = FakeDaemon(elsewhere / "state", [], elsewhere / "collectors.d")
    try:
        result = run("get")
    finally:
        server.stop()

    assert result.exit_code == 1
    assert "the daemon at state/control.sock does not answer" in result.stderr


def test_no_descriptor_stays_open(run: Run, daemon: FakeDaemon) -> None:
    run("get")
    run("get", "--manifests", "other.d")
    run("get", "nobody")

    assert not [
        number
        for number in Path("/proc/self/fd").iterdir()
        if os.path.realpath(number) == os.path.realpath("state")
    ]
