"""Every SASL mechanism against a Dovecot that offers it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from reconciler.model.errors import AuthenticationFailed
from reconciler.model.interfaces import Source
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.sources import test_imap_dovecot, test_pop3_dovecot

PROOFS = "scram-sha-256 scram-sha-1 cram-md5 plain login"


@pytest.fixture(
    scope="module",
    params=[PROOFS, PROOFS.removeprefix("scram-sha-256 "), "cram-md5", "plain"],
    ids=lambda offered: offered.partition(" ")[0],
)
def offering(request: pytest.FixtureRequest) -> Iterator[tuple[Dovecot, str]]:
    """A server, and the mechanism that is to be used without TLS."""
    with Dovecot(request.param) as server:
        yield server, request.param.partition(" ")[0]


def opened(
    protocol: str, server: Dovecot, user: str, tls: str, password: str | None = None
) -> Source:
    module = {"imap": test_imap_dovecot, "pop3": test_pop3_dovecot}[protocol]
    source: Source = module.opened(server, user, tls, password)
    return source


def logged_in(server: Dovecot, user: str, patience: float = 60) -> list[str]:
    """What the log says of this user's logins, once it does: another program writes it, in its own
    time."""
    deadline = time.monotonic() + patience
    while not (found := server.logins(user)):
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_logs_in(offering: tuple[Dovecot, str], protocol: str, tls: str, user: str) -> None:
    server, mechanism = offering
    server.deliver(user, mail.small(2))
    source = opened(protocol, server, user, tls)
    assert [len(listing.messages) for listing in source.listings(writable=False)] == [2]
    source.finish()
    logins = logged_in(server, user)
    assert all(f"method={mechanism.upper()}," in line for line in logins), logins


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_wrong_password_is_refused(
    offering: tuple[Dovecot, str], protocol: str, user: str
) -> None:
    server, _ = offering
    source = opened(protocol, server, user, "none", "canary-9f3b")
    with pytest.raises(AuthenticationFailed) as caught:
        list(source.listings(writable=False))
    assert "canary" not in str(caught.value)
    source.abort()
