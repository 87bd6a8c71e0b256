"""A running Postfix for the tests of mail systems."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postfix import Postfix

MAILBOXES = ["раз@икс.рф", "два@икс.рф", "info@икс.рф", "раз@игрек.рф", "два@игрек.рф", "info@игрек.рф", "ann@box.test",
             "ben@box.test"]


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    """A test without it would prove nothing, so its absence fails and never skips."""
    with Postfix(MAILBOXES) as server:
        yield server
