"""What is on the server: keys, sizes, and servers that contradict themselves."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest

from reconciler.model.errors import ConnectionFailed, ProtocolViolation, SourceUnavailable
from reconciler.model.messages import Account, Folder, Listed, Listing
from reconciler.sources.pop3 import maildrop as maildrops
from reconciler.sources.pop3 import maildrop_columns
from reconciler.sources.pop3.maildrop import maildrop
from reconciler.sources.pop3.maildrop_columns import key_of
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Client, Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    Reply,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
)

MESSAGES = [b"a\r\n", b"bb\r\n", b"ccc\r\n"]


def listed(
    bent: dict[bytes, Reply] | None = None,
    capabilities: tuple[bytes, ...] = CAPABILITIES,
    limits: Limits | None = None,
) -> Listing:
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
    with pytest.raises(ProtocolViolation, match=r"UIDL refused: \[X-OTHER\] moment"):
        listed({b"UIDL": b"-ERR [X-OTHER] moment\r\n"}, capabilities=(b"USER",))
    with pytest.raises(ProtocolViolation, match="UIDL refused: not now"):
        listed({b"UIDL": b"-ERR not now\r\n"})


def test_what_a_server_says_before_it_closes_is_told() -> None:
    """Dovecot's, behind a login into a maildrop that it cannot read."""

    def broken(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        while not (line := client.line()).startswith(b"PASS"):
            client.send(
                b"+OK\r\n"
                if line.startswith(b"USER")
                else b"+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n"
            )
        client.send(b"+OK Logged in.\r\n-ERR [SYS/TEMP] Internal error occurred.\r\n")
        client.line()

    with Scripted(broken) as server:
        source = source_of(server)
        with pytest.raises(ConnectionFailed, match=r"\[SYS/TEMP\] Internal error occurred"):
            listing_of(source)
        source.abort()


@pytest.mark.parametrize("capabilities", [CAPABILITIES, (b"USER", b"UIDL")])
def test_one_message_without_a_size_keeps_no_other_away(capabilities: tuple[bytes, ...]) -> None:
    refused = b"-ERR cannot stat message 2\r\n"
    listing = listed({b"LIST": refused, b"STAT": refused}, capabilities)
    assert [(each.key, each.size) for each in listing.messages] == [
        (f"uid{number}", None) for number in range(1, len(MESSAGES) + 1)
    ]
    assert any("sizes of messages" in note for note in listing.notes)


def test_a_refused_list_ends_the_session() -> None:
    bent: dict[bytes, Reply] = {b"LIST": b"-ERR no\r\n", b"STAT": b"+OK 3 12\r\n"}
    for uidls in (multiline(), b"-ERR no\r\n"):
        with pytest.raises(ProtocolViolation, match="LIST refused: no"):
            listed(bent | {b"UIDL": uidls})
    with pytest.raises(SourceUnavailable):
        listed({b"LIST": b"-ERR [SYS/TEMP] later\r\n"})


@pytest.mark.parametrize("capabilities", [CAPABILITIES, (b"USER", b"UIDL"), None])
@pytest.mark.parametrize(
    "refused", [b"-ERR no messages\r\n", b"+ERR\r\n", b"-err: empty\n", b"-ERROR\r\n"]
)
def test_a_server_that_refuses_to_list_an_empty_maildrop(
    capabilities: tuple[bytes, ...] | None, refused: bytes
) -> None:
    bent: dict[bytes, Reply] = {} if capabilities else {b"CAPA": refused}
    for lists in ({b"LIST": refused, b"UIDL": refused}, {b"LIST": multiline(), b"UIDL": refused}):
        listing = listed(bent | lists | {b"STAT": b"+OK 0 0\r\n"}, capabilities or ())
        assert (list(listing.messages), listing.keys_stable) == ([], True)


@pytest.mark.parametrize(
    ("sizes", "uidls"),
    [
        (b" 1 3 \r\n2  4 octets\r\n3 5\r\n", b"1 a\r\n2 b c \r\n 3  d\r\n"),
        (b"1 3\n2 4\n3 5\n", b"1 a\n2 b c\n3 d\n"),
        (b"1 3 x y\r\n2 4 z\r\n3 5 0\r\n", b"1 a\r\n2 b c\r\n3 d\r\n\r\n"),
    ],
)
def test_listings_as_others_write_them(sizes: bytes, uidls: bytes) -> None:
    listing = listed(
        {
            b"LIST": b"+OK 3 messages (12 octets)\n" + sizes + b"\r\n.\r\n",
            b"UIDL": b"+ok\r\n" + uidls + b"\r\n.\r\n",
        }
    )
    assert listing.messages == (Listed("a", 3), Listed("b\\x20c", 4), Listed("d", 5))


# Very many


def test_very_many_messages_are_listed_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrops, "_FEW", 2_000)
    count = 4_000
    twins = {5: 17, 9: 17, 3_000: 17}
    uidls = [b"%d uid%d" % (number, twins.get(number, number)) for number in range(1, count + 1)]
    drop = maildrop([b"%d %d" % (number, number) for number in range(1, count + 1)], uidls)
    assert len(drop.messages) == count
    assert drop.messages[0] == Listed("uid1", 1)
    assert [drop.messages[number - 1].key for number in (5, 9, 17, 3_000)] == [
        "uid17",
        "uid17 #2",
        "uid17 #3",
        "uid17 #4",
    ]
    assert sum(message.ambiguous for message in drop.messages) == 4
    maildrops.look_up(drop, ["uid17 #3", "uid3999", "gone"])
    assert dict(drop.numbers) == {"uid17 #3": 17, "uid3999": 3_999}
    assert [message.key for message in drop.messages[1:3]] == ["uid2", "uid3"]
    assert not drop.notes


def test_P8_very_many_of_which_the_lists_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrops, "_FEW", 20)
    count = 40
    drop = maildrop(
        [b"%d 1" % number for number in range(1, count + 1)],
        [b"%d u%d" % (number, number) for number in range(2, count + 3)],
    )
    assert (len(drop.messages), drop.messages[0].key, drop.messages[-1].key) == (
        count - 1,
        "u2",
        f"u{count}",
    )
    assert drop.notes == ("3 messages are left alone: the server's LIST and UIDL disagree on them",)


def test_P2_far_too_many_twins_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildrops, "MOST_TWICE", 10)
    uidls = [b"%d same" % number for number in range(1, 12)] + [b"12 other"]
    drop = maildrop([b"%d 1" % number for number in range(1, 13)], uidls)
    assert list(drop.messages) == [Listed("other", 1)]
    assert drop.notes


@pytest.mark.parametrize("count", [3, 70, 9_000])
@pytest.mark.parametrize("order", ["reversed", "odd ones last", "gaps"])
def test_P8_any_order_is_as_good_as_theirs(count: int, order: str) -> None:
    """Ten times as many as are sorted at once, and fewer."""
    numbers = {
        "reversed": list(range(count, 0, -1)),
        "gaps": list(range(5, 5 + 3 * count, 3)),
        "odd ones last": [*range(2, count, 2), *range(1, count, 2)],
    }[order]
    drop = maildrop(
        [b"%d %d" % (number, number) for number in numbers],
        [b"%d u%d" % (number, number) for number in reversed(numbers)],
    )
    assert [(found.key, found.size) for found in drop.messages] == [
        (f"u{each}", each) for each in sorted(numbers)
    ]
    maildrops.look_up(drop, [f"u{numbers[0]}"])
    assert drop.numbers[f"u{numbers[0]}"] == numbers[0]


def test_P8_more_messages_than_there_may_be_are_refused_clearly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maildrop_columns, "MOST", 5)
    with pytest.raises(
        ProtocolViolation, match=r"the maildrop has more than .* messages.*: move or delete"
    ):
        maildrop([b"%d 1" % number for number in range(1, 7)], [])
    with pytest.raises(ProtocolViolation, match="more that is no message"):
        maildrop([b"junk"] * 6, [])


@pytest.mark.parametrize("command", [b"CAPA", b"LIST", b"UIDL"])
def test_P8_a_listing_without_end_costs_no_memory(command: bytes) -> None:
    """Thirty megabytes of the shortest lines were once a gigabyte and a half: some 80 octets for
    each of these."""
    lines = {
        b"CAPA": b"X\r\n" * 60_000,
        b"LIST": b"".join(b"%d 1\r\n" % number for number in range(1, 60_000)),
        b"UIDL": b"".join(b"%d u%d\r\n" % (number, number) for number in range(1, 60_000)),
    }
    with Scripted(
        speak(replies(MESSAGES, bent={command: b"+OK\r\n" + lines[command] + b".\r\n"}))
    ) as server:
        source = source_of(server)
        tracemalloc.start()
        try:
            with contextlib.suppress(ProtocolViolation):
                listing_of(source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            source.abort()
    assert peak < 5 << 20


def test_P2_duplicate_uidls_get_keys_of_their_own_and_are_marked() -> None:
    listing = listed({b"UIDL": multiline(b"1 same", b"2 other", b"3 same")})
    assert listing.messages == (
        Listed("same", 3, True),
        Listed("other", 4),
        Listed("same #2", 5, True),
    )


def test_P4_long_and_odd_uidls() -> None:
    long = b"u" * (1 << 20)
    listing = listed({b"UIDL": multiline(b"1 " + long, b"2 \xff\x00 a\\b", b"3 " + b"v" * 500)})
    first, second, third = (message.key for message in listing.messages)
    assert first.startswith("sha256:")
    assert len(first) == 71
    assert second == r"\xff\x00\x20a\x5cb"
    assert third == "v" * 500


def test_P4_a_key_never_looks_like_a_repetition() -> None:
    assert key_of(b"same #2") == rb"same\x20#2"
    assert key_of(bytes(range(256))).decode("ascii").isprintable()
    assert len({key_of(bytes([odd])) for odd in range(256)}) == 256


def test_P4_endless_uidl_is_capped() -> None:
    endless = b"+OK\r\n" + b"1 " + b"u" * 300_000
    with pytest.raises(ProtocolViolation, match="longer than 100000 octets"):
        listed({b"UIDL": endless}, limits=Limits(maildrop=100_000))


def test_P8_only_what_list_and_uidl_agree_on_is_listed() -> None:
    listing = listed(
        {
            b"LIST": multiline(b"1 3", b"2 4", b"7 1"),
            b"UIDL": multiline(b"2 uid2", b"3 uid3", b"7 uid7"),
        }
    )
    assert listing.messages == (Listed("uid2", 4), Listed("uid7", 1))
    assert listing.notes == (
        "2 messages are left alone: the server's LIST and UIDL disagree on them",
    )


@pytest.mark.parametrize(
    "junk", [b"", b"x y", b"-1 5", b"99999999999999999999999 5", b"\xd9\xa1 5", b" 3"]
)
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


def test_of_a_large_maildrop_the_headers_of_each_message_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maildrops, "_FEW", 2)
    tops: dict[bytes, Reply] = {
        b"TOP %d 0" % number: multiline(b"Subject: %d" % number, b"") for number in (1, 2, 3)
    }
    with Scripted(speak(replies(MESSAGES, (*CAPABILITIES, b"TOP"), tops))) as server:
        source = source_of(server)
        listing = listing_of(source)
        found = [
            (listed.key, header)
            for listed, header in source.headers(listing.folder, listing.messages)
        ]
        source.finish()
    assert found == [(f"uid{number}", b"Subject: %d\r\n\r\n" % number) for number in (1, 2, 3)]
