"""Courier, Cyrus and GNU mailutils: everything is collected once, in every mode, by IMAP and by
POP3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from reconciler.collect.session import Session
from reconciler.collect.session_context import SessionTask
from reconciler.model.outcomes import SessionReport
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import open_imap
from reconciler.sources.pop3 import open_pop3
from reconciler.wire.connection_limits import Limits
from tests.collect.world import (
    Fate,
    Helm,
    Mailboxes,
    MemoryDestination,
    MemoryLedger,
    everything_to,
)
from tests.servers.unpacked import Courier, Cyrus, Mailutils, Server

TEXTS = [
    b"From: a@b.example\r\nSubject: %d\r\n\r\nbody of %d\r\n" % (number, number)
    for number in range(1, 5)
]


@pytest.fixture(
    scope="module", params=[Courier, Cyrus, Mailutils], ids=lambda kind: str(kind.__name__)
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        yield server


class Collected:
    """What a collector has of the account."""

    def __init__(self, server: Server, protocol: str) -> None:
        self.server, self.protocol = server, protocol
        self.mailboxes, self.ledger = Mailboxes(), MemoryLedger()

    def session(self, mode: str, password: str = "") -> SessionReport:
        self.server.settle()
        spec = SourceSpec.model_validate(
            {
                "protocol": self.protocol,
                "host": self.server.host,
                "tls": self.server.tls,
                "port": self.server.ports[self.protocol],
                "username": self.server.user,
                "password": {"env": "P"},
                **({"caFile": self.server.ca_file} if self.server.ca_file else {}),
            }
        )
        opened = open_imap if self.protocol == "imap" else open_pop3
        fate = Fate()
        self.ledger.fate = fate
        # a mode
        task = SessionTask("sales", mode, 100, 1 << 20, everything_to("a@here"))  # type: ignore[arg-type]
        return Session(
            task,
            opened(spec, Secret(password or self.server.password), Limits()),
            MemoryDestination(self.mailboxes, fate),
            self.ledger,
            Helm(),
            lambda: datetime(2026, 1, 1, tzinfo=UTC),
        ).run()

    @property
    def bodies(self) -> list[bytes]:
        return sorted(text.rstrip(b"\n").rpartition(b"\n")[2] for text in self.mailboxes.texts())


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mode", ["new-keep", "new-delete", "all-delete"])
def test_everything_is_collected_once(server: Server, protocol: str, mode: str) -> None:
    for text in TEXTS:
        server.deliver(text)
    found = Collected(server, protocol)
    first = found.session(mode)
    assert first.error is None
    assert found.bodies == [b"body of %d" % number for number in range(1, 5)]
    again = found.session(mode)
    assert again.error is None
    assert again.collected == 0
    assert again.listed == (4 if mode == "new-keep" else 0)
    if mode == "new-keep":
        Collected(server, protocol).session("all-delete")


@pytest.mark.parametrize(
    "server", [Cyrus, Mailutils], indirect=True
)  # Courier's programs run behind the login here
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_wrong_password_is_refused(server: Server, protocol: str) -> None:
    report = Collected(server, protocol).session("new-keep", "wrong")
    assert report.error is not None
    assert report.error.reason in {"AuthenticationFailed", "LoginRefused"}
