"""pymap, Twisted's servers and Hoodiecrow: everything is collected once, in every mode; what a
wrong password is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.packaged import Hoodiecrow, Packaged, Pymap, Twisted
from tests.servers.test_unpacked import TEXTS, Collected


@pytest.fixture(
    scope="module", params=[Pymap, Twisted, Hoodiecrow], ids=lambda kind: str(kind.__name__)
)
def server(request: pytest.FixtureRequest) -> Iterator[Packaged]:
    with request.param() as server:
        yield server


@pytest.mark.parametrize("mode", ["new-keep", "new-delete", "all-delete"])
def test_everything_is_collected_once(server: Packaged, mode: str) -> None:
    for protocol in server.ports:
        Collected(server, protocol).session("all-delete")
        for text in TEXTS:
            server.deliver(text)
        found = Collected(server, protocol)
        assert found.session(mode).error is None
        assert found.bodies == [b"body of %d" % number for number in range(1, 5)]
        again = found.session(mode)
        assert again.error is None
        assert (again.collected, again.listed) == (0, 4 if mode == "new-keep" else 0)


def test_a_wrong_password_is_refused(server: Packaged) -> None:
    for protocol in server.ports:
        report = Collected(server, protocol).session("new-keep", "wrong")
        assert report.error is not None
        assert report.error.reason in {"AuthenticationFailed", "LoginRefused"}
