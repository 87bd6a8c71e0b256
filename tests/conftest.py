"""Fixtures for every floor: the real servers, one of each for a test process, each test with users
of its own."""

from __future__ import annotations

import gc
import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix

settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("random"), derandomize=True)
settings.load_profile("fixed")  # --hypothesis-profile=random: others each time
_numbers = itertools.count(1)
LONGEST = ("tests/soak/", "tests/project/test_bench.py", "tests/crashes/", "tests/endtoend/")
"""They come first: were one of them the last, the other workers would wait for it."""


_OURS = ("MAILCOLLECTOR_", "GIT_", "XDG_", "LC_")
_OTHERS = {
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "LINES",
    "EDITOR",
    "VISUAL",
    "BROWSER",
    "PAGER",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "CREDENTIALS_DIRECTORY",
    "TZ",
}


def pytest_configure() -> None:
    """The same for everybody, whoever starts the tests and where: a terminal, cron, a service, a
    container.

    Started in the background by a shell, we would ignore SIGINT, and so would every program that a
    test starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in list(os.environ):
        if name.startswith(_OURS) or name in _OTHERS:
            del os.environ[name]
    os.environ.update(TERM="xterm", LANG="C.UTF-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: next(
            (place for place, start in enumerate(LONGEST) if item.nodeid.startswith(start)),
            len(LONGEST),
        )
    )


def pytest_collection_finish() -> None:
    """What was imported and collected is no garbage: looking through it took half a second each
    time, in which a server's thread stood still as well."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A running Dovecot. A test without it would prove nothing, so its absence fails and never
    skips."""
    with Dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    """A running Postfix, likewise. It takes mail for раз, два, три and info in three domains: one
    for each test."""
    domains = ("икс.рф", "игрек.рф", "зет.рф")
    mailboxes = [
        f"{local}@{domain}" for domain in domains for local in ("раз", "два", "три", "info")
    ]
    with Postfix([*mailboxes, "ann@box.test", "ben@box.test"]) as server:
        yield server


@pytest.fixture
def new_user() -> Callable[[str], str]:
    """Names for accounts that no other test of this process uses."""

    def name(stem: str) -> str:
        return f"{stem}-{next(_numbers)}"

    return name


@pytest.fixture
def user(new_user: Callable[[str], str]) -> str:
    return new_user("user")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server said where a test with it failed."""
    report = yield
    for name in ("dovecot", "postfix"):
        server = getattr(item, "funcargs", {}).get(name)
        if report.failed and server is not None:
            report.sections.append((f"{name} log", server.log[-5000:]))
    return report
