"""Header blocks over IMAP: as they are stored, or none."""

from __future__ import annotations

import pytest

from reconciler.collect.incoming_message import fingerprint, header_digest
from reconciler.model.errors import ProtocolViolation
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Scripted
from tests.sources.imap_server import Reply, fetched, imap, inbox, source
from tests.sources.test_imap_dovecot import opened, view

FETCH = "UID FETCH 1:2,5 (UID BODY.PEEK[HEADER])"
ITEM = b"BODY[HEADER]"


def headers_of(*replies: Reply) -> dict[str, bytes | None]:
    with Scripted(imap({FETCH: list(replies)})) as server:
        found = source(server)
        listing = inbox(found)
        try:
            return {
                listed.key: header
                for listed, header in found.headers(listing.folder, listing.messages)
            }
        finally:
            found.abort()


def test_I9_headers_have_the_digests_of_whole_messages(dovecot: Dovecot, user: str) -> None:
    given = [*mail.strange().values(), *mail.small(700)]
    dovecot.deliver(user, given)
    before = view(dovecot, user)
    found = opened(dovecot, user)
    listing = inbox(found)
    headers = {
        listed.key: header for listed, header in found.headers(listing.folder, listing.messages)
    }
    found.finish()
    assert headers.keys() == {listed.key for listed in listing.messages}
    digests = {key: header_digest(header or b"") for key, header in headers.items()}
    assert (
        sum(digest is None for digest in digests.values()) == 3
    )  # body only, headerless, one line end
    for listed, message in zip(listing.messages, given, strict=True):
        assert digests[listed.key] in (None, fingerprint([message]).header)
    assert view(dovecot, user) == before


def test_what_is_missing_nil_or_sent_twice_is_not_believed() -> None:
    one, other = b"A: 1\r\n\r\n", b"A: 2\r\n\r\n"
    assert headers_of(fetched(1, one, ITEM) + fetched(9, one, ITEM) + b"TAG OK done\r\n") == {
        "1": one
    }
    assert headers_of(fetched(1, one, ITEM) * 2 + b"TAG NO [EXPUNGEISSUED] gone\r\n") == {"1": one}
    assert headers_of(fetched(1, one, ITEM) + fetched(1, other, ITEM) + b"TAG OK done\r\n") == {
        "1": None
    }
    assert headers_of(b"* 1 FETCH (UID 2 BODY[HEADER] NIL)\r\nTAG OK done\r\n") == {"2": None}
    assert headers_of(fetched(5, b"x" * (5 << 20), ITEM) + b"TAG OK done\r\n") == {"5": None}
    assert headers_of(b"TAG BAD what?\r\n") == {}


def test_I27_a_refusal_leaves_out_what_it_concerns() -> None:
    assert headers_of(b"TAG NO [LIMIT] slow down\r\n") == {}


def test_I10_a_new_uidvalidity_ends_it() -> None:
    with pytest.raises(ProtocolViolation, match="numbered anew"):
        headers_of(b"* OK [UIDVALIDITY 78] new\r\nTAG OK done\r\n")


@pytest.mark.parametrize(
    ("told", "next_key"),
    [(b"", None), (b"* OK [UIDNEXT 6] next\r\n", 6), (b"* OK [UIDNEXT 0] next\r\n", None)],
)
def test_I11_I28_uidnext_is_told_or_not(told: bytes, next_key: int | None) -> None:
    examined = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n" + told + b"TAG OK [READ-ONLY] done\r\n"
    with Scripted(imap({"EXAMINE": examined})) as server:
        found = source(server)
        assert inbox(found).next_key == next_key
        found.finish()
