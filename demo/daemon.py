"""The daemon as a process, and its collectors."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from demo.scene import Scene
from reconciler.cli.collector_list import table
from reconciler.cli.connect import open_collectors
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings
from reconciler.model.status import ShownCollector
from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile

PROGRAM = Path(sys.executable).with_name("mailcollector")
TIMEOUT = 12.0
"""Seconds to wait for the end of the daemon, which promises to end within 10 of SIGTERM."""
TOKEN = "demo"  # noqa: S105  # a name
"""The name of the token that the page's link logs in with."""


def arguments(scene: Scene, *options: str) -> list[str | Path]:
    """Return the command line of `mailcollector run`."""
    return [
        PROGRAM,
        "run",
        scene.manifests,
        "--state-dir",
        scene.state,
        "--log-format",
        "text",
        *options,
    ]


def run_once(scene: Scene, *, quiet: bool = False) -> int:
    """Run one session of every collector and return the exit code. The log goes to the terminal,
    or nowhere."""
    log = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        arguments(scene, "--once"), check=False, stdin=subprocess.DEVNULL, stderr=log
    ).returncode


def collectors(scene: Scene) -> list[ShownCollector]:
    """Return the collectors of `mailcollector get`, with or without a daemon."""
    with open_collectors(_settings(scene)) as found:
        return found.listed()


def told(shown: Sequence[ShownCollector]) -> list[str]:
    """Return the lines of `mailcollector get`, and the reasons of stalled collectors."""
    stalled = [
        f"{collector.metadata.name}: {found.reason}: {found.message}"
        for collector in shown
        for found in collector.status.conditions
        if found.type == "Stalled" and found.status == "True"
    ]
    return [*table(shown, datetime.now(UTC)), *map(escape, stalled)]


def login_link(scene: Scene, address: str) -> str:
    """Make a token that may do everything, and return the address that logs a browser in once.

    `address` is HOST:PORT of the page.
    """
    tokens = TokenFile(_settings(scene).token_file)
    tokens.create(TOKEN, Role.EDIT)
    token = tokens.named(TOKEN)
    if token is None:
        raise RuntimeError(f"the token {TOKEN} was removed from {tokens.path}")
    return f"http://{address}/login/{LoginSessions(tokens).link(token)}"


@contextmanager
def running(scene: Scene, address: str, timeout: float = 30) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon with its page at `address`, wait until it answers, and stop it at the end.

    Ctrl-C does not reach the daemon.
    """
    with scene.log.open("wb") as log:
        daemon = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *arguments(scene, "--listen", address)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await(scene, daemon, timeout)
        yield daemon
    finally:
        stop(daemon)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, and SIGKILL if the daemon does not end in time.

    Raises RuntimeError in the second case, and if the daemon ended before or with a failure.
    """
    daemon.terminate()
    try:
        code = daemon.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        raise RuntimeError(f"the daemon did not end within {TIMEOUT:.0f} s of SIGTERM") from None
    if code:
        raise RuntimeError(f"the daemon ended with exit code {code}")


def _settings(scene: Scene) -> Settings:
    ledger = f"sqlite:///{scene.state / 'ledger.sqlite3'}"
    return Settings(state_dir=scene.state, state_url=ledger, manifests=scene.manifests)


def _await(scene: Scene, daemon: subprocess.Popen[bytes], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not (scene.state / "control.sock").exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(
                f"the daemon did not start:\n{scene.log.read_text(errors='replace')}"
            )
        time.sleep(0.05)
