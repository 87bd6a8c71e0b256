"""TOP: header blocks as they are stored, or none."""

from __future__ import annotations

import pytest

from reconciler.collect.incoming_message import fingerprint, header_digest
from reconciler.model.secret import Secret
from reconciler.sources.pop3 import Pop3Source
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.sasl import Credentials
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    Reply,
    fetch_all,
    listing_of,
    replies,
    source_of,
    speak,
    stuff,
)

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 450)]
HEADERS = {f"uid{number}": b"Subject: %d\r\n\r\n" % number for number in range(1, 450)}
ONE_BY_ONE = (b"USER", b"UIDL", b"TOP")


def headers_of(source: Pop3Source) -> dict[str, bytes | None]:
    listing = listing_of(source)
    return {
        listed.key: header for listed, header in source.headers(listing.folder, listing.messages)
    }


def tops(count: int) -> dict[bytes, Reply]:
    return {
        b"TOP %d 0" % number: b"+OK\r\n" + stuff(b"Subject: %d\r\n\r\n" % number)
        for number in range(1, count + 1)
    }


@pytest.mark.parametrize("capabilities", [(*CAPABILITIES, b"TOP"), ONE_BY_ONE])
def test_P3_headers_come_for_every_message_and_the_session_goes_on(
    capabilities: tuple[bytes, ...],
) -> None:
    with Scripted(speak(replies(MESSAGES, capabilities, tops(449)))) as server:
        source = source_of(server)
        listing = listing_of(source)
        found = {
            listed.key: header
            for listed, header in source.headers(listing.folder, listing.messages)
        }
        assert found == HEADERS
        assert list(fetch_all(source, listing).values()) == MESSAGES
        source.finish()


def test_where_top_is_not_offered_it_is_not_asked_for() -> None:
    with Scripted(speak(replies(MESSAGES[:3]))) as server:
        source = source_of(server)
        assert headers_of(source) == {}
        source.finish()


def test_a_server_that_refuses_top_is_asked_once() -> None:
    table = replies(MESSAGES[:30], (*CAPABILITIES, b"TOP"), {b"TOP": b"-ERR unknown command\r\n"})
    with Scripted(speak(table)) as server:
        source = source_of(server)
        assert headers_of(source) == {"uid1": None}
        assert sum(line.startswith(b"TOP") for line in server.lines) == 1
        source.finish()


def test_a_refused_one_and_an_endless_one_have_no_header() -> None:
    bent: dict[bytes, Reply] = {
        **tops(3),
        b"TOP 2 0": b"-ERR no\r\n",
        b"TOP 3 0": b"+OK\r\n" + stuff(b"X: " + b"x" * (2 << 20) + b"\r\n"),
    }
    with Scripted(speak(replies(MESSAGES[:3], (*CAPABILITIES, b"TOP"), bent))) as server:
        source = source_of(server)
        assert headers_of(source) == {"uid1": HEADERS["uid1"], "uid2": None, "uid3": None}
        source.finish()


def test_P3_P15_headers_have_the_digests_of_whole_messages(dovecot: Dovecot, user: str) -> None:
    given = [*mail.strange().values(), *mail.small(250)]
    dovecot.deliver(user, given)
    endpoint = Endpoint("127.0.0.1", dovecot.ports["pop3"], "none", None)
    source = Pop3Source(endpoint, Credentials(user, Secret(dovecot.password)), Limits())
    listing = listing_of(source)
    headers = [header for _, header in source.headers(listing.folder, listing.messages)]
    whole = fetch_all(source, listing)
    source.finish()
    digests = [header_digest(header or b"") for header in headers]
    assert sum(digest is None for digest in digests) == 3
    for digest, message, arrived in zip(digests, given, whole.values(), strict=True):
        assert digest in (None, fingerprint([message]).header)
        assert isinstance(arrived, bytes)
        assert fingerprint([arrived]) == fingerprint([message])
