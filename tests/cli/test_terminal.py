"""On a terminal: bars while a session runs, colours, questions, the list that is drawn anew."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT

from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import description, session
from tests.cli.test_process import MAIN
from tests.control.manifests import save


class Screen:
    """What a person sees and types."""

    def __init__(self, *arguments: str) -> None:
        self._end, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        os.close(terminal)
        self.seen = ""

    def until(self, text: str) -> str:
        """Read until `text` was seen, and give everything seen so far."""
        while text not in self.seen:
            self.seen += os.read(self._end, 65536).decode()  # an OSError when the process ended
        return self.seen

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def rest(self) -> int:
        """Read to the end; the exit code."""
        while True:
            try:
                self.seen += os.read(self._end, 65536).decode()
            except OSError:  # how a terminal says that nobody writes any more
                return self.process.wait(20)

    def interrupt(self) -> None:
        """Ctrl-C, and once more where nothing came of it: a signal just before a blocking read only
        sets a flag (PEP 475)."""
        while self.process.poll() is None:
            self.process.send_signal(SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(3)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


@contextmanager
def screen(*arguments: str) -> Iterator[Screen]:
    opened = Screen(*arguments)
    try:
        yield opened
    finally:
        opened.close()


def test_collect_shows_bars_and_leaves_only_the_outcome(daemon: FakeDaemon) -> None:
    daemon.sessions["sales"] = [
        ("progress", session(finished_at=None, collected=4, left=8)),
        ("finished", session()),
    ]
    daemon.sessions["info"] = [("finished", session())]

    with screen("collect", "sales", "info", "--wait") as seen:
        assert seen.rest() == 0
        assert "sales: collected 12, skipped 3 (collected-before 3)" in seen.seen
        assert "info: collected 12" in seen.seen
        assert "Traceback" not in seen.seen


def test_table_is_coloured_and_not_cut(daemon: FakeDaemon) -> None:
    with screen("get") as seen:
        assert seen.rest() == 0
        assert "\x1b[32mTrue" in seen.seen
        assert "\x1b[31mFalse" in seen.seen
        assert "AuthenticationFailed" in seen.seen
        assert "…" not in seen.seen


def test_watch_draws_anew_until_ctrl_c(daemon: FakeDaemon) -> None:
    with screen("get", "--watch") as seen:
        seen.until("AuthenticationFailed")
        daemon.collectors = daemon.collectors[:1]
        seen.seen = ""
        seen.until("sales")
        seen.process.send_signal(SIGINT)
        assert seen.rest() == 0
        assert "Traceback" not in seen.seen


def test_clear_asks_on_a_terminal(daemon: FakeDaemon) -> None:
    daemon.describe(description())
    daemon.answers["POST /collectors/sales/clear"] = (200, {"epoch": 3, "forgotten": 1234})

    with screen("clear", "sales") as seen:
        seen.until("[y/N]: ")
        seen.type("y\n")
        assert seen.rest() == 0
        assert "1,234 messages forgotten" in seen.seen


def test_remove_asks_on_a_terminal(elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    kept = save(elsewhere / "collectors.d", "sales")

    with screen("remove", "sales") as seen:
        seen.until("[y/N]: ")
        seen.type("n\n")
        assert seen.rest() == 1
        assert "sales was not removed" in seen.seen
    assert kept.exists()


def test_ctrl_c_at_the_question_forgets_nothing(daemon: FakeDaemon) -> None:
    daemon.describe(description())

    with screen("clear", "sales") as seen:
        seen.until("[y/N]: ")
        seen.interrupt()
        assert seen.rest() == 130
        assert not [line for line in daemon.asked if line.startswith("POST")]
