"""What is on the server: keys, sizes, and servers that contradict themselves."""

from __future__ import annotations

import pytest

from reconciler.model.errors import ProtocolViolation, SourceUnavailable
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.sources.pop3.maildrop import key_of, maildrop
from reconciler.wire.limits import Limits
from tests.servers.scripted import Scripted
from tests.sources.pop3_scripts import CAPABILITIES, Reply, listing_of, multiline, replies, source_of, speak

MESSAGES = [b"a\r\n", b"bb\r\n", b"ccc\r\n"]


def listed(bent: dict[bytes, Reply] | None = None, capabilities: tuple[bytes, ...] = CAPABILITIES,
           limits: Limits | None = None) -> Listing:
    with Scripted(speak(replies(MESSAGES, capabilities, bent))) as server:
        source = source_of(server, limits=limits)
        try:
            listing = listing_of(source)
            source.finish()
        finally:
            source.abort()
        assert listing.folder == Folder(Account("pop3", server.host, server.port, "user"), "", 0)
        return listing


def test_messages_in_order_with_sizes() -> None:
    assert listed().messages == (Listed("uid1", 3), Listed("uid2", 4), Listed("uid3", 5))


def test_an_empty_maildrop() -> None:
    assert listed({b"LIST": multiline(), b"UIDL": multiline()}).messages == ()


def test_P1_without_uidl_keys_are_not_stable() -> None:
    listing = listed({b"UIDL": b"-ERR what?\r\n"}, capabilities=(b"USER",))
    assert not listing.keys_stable
    assert listing.messages == (Listed("#1", 3), Listed("#2", 4), Listed("#3", 5))


def test_P1_a_uidl_that_fails_now_is_not_a_missing_one() -> None:
    with pytest.raises(SourceUnavailable):
        listed({b"UIDL": b"-ERR [SYS/TEMP] later\r\n"}, capabilities=(b"USER",))
    with pytest.raises(ProtocolViolation, match="UIDL refused: not now"):
        listed({b"UIDL": b"-ERR not now\r\n"})


def test_a_refused_list_ends_the_session() -> None:
    with pytest.raises(ProtocolViolation, match="LIST refused: no"):
        listed({b"LIST": b"-ERR no\r\n"})


def test_P2_duplicate_uidls_get_keys_of_their_own_and_are_marked() -> None:
    listing = listed({b"UIDL": multiline(b"1 same", b"2 other", b"3 same")})
    assert listing.messages == (Listed("same", 3, True), Listed("other", 4), Listed("same #2", 5, True))


def test_P4_long_and_odd_uidls() -> None:
    long = b"u" * (1 << 20)
    listing = listed({b"UIDL": multiline(b"1 " + long, b"2 \xff\x00 a\\b", b"3 " + b"v" * 500)})
    first, second, third = (message.key for message in listing.messages)
    assert first.startswith("sha256:")
    assert len(first) == 71
    assert second == r"\xff\x00\x20a\x5cb"
    assert third == "v" * 500


def test_P4_a_key_never_looks_like_a_repetition() -> None:
    assert key_of(b"same #2") == r"same\x20#2"
    assert key_of(bytes(range(256))).isprintable()
    assert len({key_of(bytes([odd])) for odd in range(256)}) == 256


def test_P4_endless_uidl_is_capped() -> None:
    endless = b"+OK\r\n" + b"1 " + b"u" * 300_000
    with pytest.raises(ProtocolViolation, match="longer than 100000 octets"):
        listed({b"UIDL": endless}, limits=Limits(listing=100_000))


def test_P8_only_what_list_and_uidl_agree_on_is_listed() -> None:
    listing = listed({b"LIST": multiline(b"1 3", b"2 4", b"7 1"), b"UIDL": multiline(b"2 uid2", b"3 uid3", b"7 uid7")})
    assert listing.messages == (Listed("uid2", 4), Listed("uid7", 1))
    assert listing.notes == ("2 messages are left alone: the server's LIST and UIDL disagree on them",)


@pytest.mark.parametrize("junk", [b"", b"x y", b"-1 5", b"99999999999999999999999 5", b"\xd9\xa1 5", b" 3"])
def test_P8_junk_lines_list_nothing(junk: bytes) -> None:
    assert maildrop([b"1 3", junk], [b"1 a", junk]).messages == (Listed("a", 3),)


def test_P8_a_number_that_comes_twice_stands_for_nothing() -> None:
    assert maildrop([b"1 3", b"2 4"], [b"1 a", b"1 b", b"2 c"]).messages == (Listed("c", 4),)


def test_a_size_may_be_missing_or_followed_by_more() -> None:
    drop = maildrop([b"1", b"2 4 octets", b"3 many"], [b"1 a", b"2 b", b"3 c"])
    assert drop.messages == (Listed("a", None), Listed("b", 4), Listed("c", None))


def test_a_message_without_a_uidl_is_left_alone() -> None:
    drop = maildrop([b"1 3", b"2 4"], [b"1 a", b"2 "])
    assert drop.messages == (Listed("a", 3),)
    assert drop.notes
