"""Chromium, and a daemon with a page, for the tests in a real browser.

Playwright's synchronous interface has an event loop of its own while it is open. So it is opened
for one module at a time: tests elsewhere in this process start event loops themselves.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.servers.dovecot import Dovecot
from tests.web.browser.stage import Stage, declare_every_state, open_stage

expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. A test without it would prove nothing, so its absence fails."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def long_stage(
    tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot, browser: Browser
) -> Iterator[Stage]:
    """A running daemon with thirteen collectors in every state, for a whole module."""
    root = tmp_path_factory.mktemp("shared")
    stage = open_stage(root / "deployment", dovecot)
    declare_every_state(stage, root.parent.name + root.name)
    with stage.running():
        yield stage


@pytest.fixture
def shared_stage(long_stage: Stage, browser: Browser) -> Iterator[Stage]:
    """The daemon of this module, for a test that leaves everything as it is, or nearly so. The
    browsers must not complain."""
    yield long_stage
    for context in browser.contexts:
        context.close()
    complaints, long_stage.complaints[:] = list(long_stage.complaints), []
    assert complaints == []


@pytest.fixture
def empty_stage(tmp_path: Path, dovecot: Dovecot, browser: Browser) -> Iterator[Stage]:
    """Nothing is declared, and no daemon runs yet. The browsers must not complain."""
    stage = open_stage(tmp_path / "deployment", dovecot)
    yield stage
    for context in browser.contexts:
        context.close()
    assert stage.complaints == []


@pytest.fixture
def stage(empty_stage: Stage, user: str) -> Iterator[Stage]:
    """A running daemon with thirteen collectors in every state."""
    declare_every_state(empty_stage, user)
    with empty_stage.running():
        yield empty_stage
