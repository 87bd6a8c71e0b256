"""health: what container engines and supervisors ask."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.test_process import IMPORTED, ran


@contextlib.contextmanager
def answering(state: Path, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """Something that listens where a daemon would, for one connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            answer(connection)

    state.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "control.sock"))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_daemon_that_is_well(run: Run, daemon: FakeDaemon) -> None:
    daemon.answers["GET /healthz"] = (200, b"ok\n")

    result = run("health")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "ok\n", "")
    assert daemon.asked == ["GET /healthz"]


def test_more_clients_at_once_than_the_kernel_keeps_are_waited_for(run: Run) -> None:
    with contextlib.ExitStack() as clients:

        def serve() -> None:
            """Only once nobody else can come in."""
            full.wait()
            time.sleep(0.2)
            for _ in range(count + 1):
                connection, _ = listener.accept()
                clients.enter_context(connection)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nok\n")
            connection.close()

        Path("state").mkdir()
        listener = clients.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind("state/control.sock")
        listener.listen(0)
        full, count = threading.Event(), 0
        thread = threading.Thread(target=serve)
        thread.start()
        with contextlib.suppress(BlockingIOError):
            while True:
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect("state/control.sock")
                count += 1
        full.set()

        result = run("health")

        thread.join()
        assert (result.exit_code, result.stdout, result.stderr) == (0, "ok\n", "")


def test_a_daemon_that_is_not(run: Run, daemon: FakeDaemon) -> None:
    daemon.answers["GET /healthz"] = (503, b"the control loop has not moved lately\n")

    result = run("health")

    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr == "mailcollector: the daemon over state is not well: "
        "the control loop has not moved lately\n"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "is not well: HTTP status 404"),
        (b"HTTP/1.1 200 OK", None),  # the status is all that counts
        (b"HTTP/1.0 204 No Content\r\n\r\n", "is not well: HTTP status 204"),
        (b"220 mail.example.org ESMTP\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 500 \x1b[2J\r\n\r\n\x1b[2Joh\xff no\n", "is not well: \\x1b[2Joh\ufffd no"),
        (b"", "does not speak HTTP"),
        (b"x" * 100_000, "does not speak HTTP"),
    ],
)
def test_other_answers(run: Run, elsewhere: Path, answer: bytes, said: str | None) -> None:
    with answering(elsewhere / "state", lambda connection: connection.sendall(answer)):
        result = run("health")

    assert result.exit_code == (said is not None)
    assert (said or "") in result.stderr
    assert len(result.stderr.splitlines()) == (said is not None)


def test_what_never_answers_is_waited_for_as_long_as_that_and_no_longer(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.verbs.health._DEADLINE", 0.1)
    with answering(elsewhere / "state", lambda connection: connection.recv(1)):
        result = run("health")

    assert result.exit_code == 1
    assert (
        result.stderr
        == "mailcollector: the daemon at state/control.sock does not answer within 0.1 seconds\n"
    )


def test_what_answers_drop_by_drop_is_not_waited_for_either(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.verbs.health._DEADLINE", 0.3)

    def drip(connection: socket.socket) -> None:
        gone = threading.Event()
        while not gone.wait(0.02):
            connection.sendall(b"H")  # until the reader hangs up

    with answering(elsewhere / "state", drip):
        assert run("health").exit_code == 1


def _left_behind(state: Path) -> None:
    """By a daemon that was killed."""
    state.mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(state / "control.sock"))


@pytest.mark.parametrize("prepare", [lambda state: None, Path.mkdir, _left_behind])
def test_no_daemon(run: Run, elsewhere: Path, prepare: Callable[[Path], object]) -> None:
    prepare(elsewhere / "state")

    result = run("health")

    assert result.exit_code == 1
    assert result.stderr.startswith("mailcollector: no daemon runs over state")


def test_not_one_s_own_daemon(
    run: Run, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("reconciler.cli.connect.socket.socket.connect", forbidden)

    assert (
        run("health").exit_code,
        "no permission to use state/control.sock" in run("health").stderr,
    ) == (1, True)


def test_it_imports_little_whatever_the_policy_says(daemon: FakeDaemon, elsewhere: Path) -> None:
    """An engine asks every half minute, and only about the control loop."""
    daemon.answers["GET /healthz"] = (200, b"ok\n")

    result = ran("health", program=IMPORTED, MAILCOLLECTOR_POLICY=str(elsewhere / "missing.yaml"))

    assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "[]\n")
