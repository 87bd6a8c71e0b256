"""A command line in a directory of its own, with a daemon or without one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest
from click.testing import CliRunner, Result

import reconciler.app
from reconciler.cli import commands
from reconciler.log import NAME
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import info, sales

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and an environment that says nothing; how the log was set up ends
    with the test."""
    for variable in [name for name in os.environ if name.startswith("MAILCOLLECTOR_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    root, ours = logging.getLogger(), logging.getLogger(NAME)
    handlers, level = root.handlers[:], root.level
    yield tmp_path
    root.handlers[:], root.level = handlers, level
    ours.setLevel(logging.NOTSET)


@pytest.fixture
def run() -> Run:
    """Runs a command line in this process, where neither standard stream is a terminal."""

    def invoke(*arguments: str, **options: str) -> Result:
        # input=, env=
        result = CliRunner().invoke(commands, list(arguments), prog_name="mailcollector", **options)  # type: ignore[arg-type]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Runs sales and info over ./collectors.d."""
    server = FakeDaemon(tmp_path / "state", [sales(), info()], tmp_path / "collectors.d")
    yield server
    server.stop()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApp]:
    """No daemon; sales and info are declared in ./collectors.d."""
    (tmp_path / "collectors.d").mkdir()
    fake = FakeApp([sales(), info()])
    for module in ("run_command", "without_daemon"):
        monkeypatch.setitem(sys.modules, f"reconciler.app.{module}", cast(ModuleType, fake))
        monkeypatch.setattr(reconciler.app, module, fake, raising=False)
    sys.modules.pop("reconciler.cli.offline_collectors", None)
    yield fake
    sys.modules.pop("reconciler.cli.offline_collectors", None)  # it holds the fake one
