"""RETR: what arrives, whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.model.messages import Arrival, Listed, Unfetched, Vanished
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    PASSWORD,
    close_after,
    fetch_all,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
    stuff,
)

ONE_BY_ONE = (b"USER", b"UIDL")
MESSAGES = [
    b"Subject: %d\r\n\r\n.\r\n..\r\n.end %d\r\n" % (number, number) for number in range(1, 200)
]


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ONE_BY_ONE])
def test_messages_arrive_as_they_are(capabilities: tuple[bytes, ...]) -> None:
    with Scripted(speak(replies(MESSAGES, capabilities))) as server:
        source = source_of(server)
        assert list(fetch_all(source, listing_of(source)).values()) == MESSAGES
        source.finish()


def test_without_pipelining_one_command_waits_for_the_other() -> None:
    """The script answers a line only after it has looked that nothing else has come."""
    table = replies(MESSAGES[:3], ONE_BY_ONE)

    def script(client: Client) -> None:
        client.send(b"+OK\r\n")
        line = b""
        while line != b"QUIT":
            line = client.line()
            assert not client._received
            reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
            assert isinstance(reply, bytes)
            client.send(reply)
        client.wait()

    with Scripted(script) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert list(fetch_all(source, listing).values()) == MESSAGES[:3]
        source.delete(listing.folder, listing.messages)
        source.finish()


def test_with_pipelining_many_are_asked_for_at_once_and_not_all() -> None:
    asked = []

    def script(client: Client) -> None:
        table = replies(MESSAGES)
        client.send(b"+OK\r\n")
        client.answer({**table, b"RETR 1": lambda line: first(client)})

    def first(client: Client) -> bytes:
        while b"RETR 64" not in client._received:
            client._receive()
        asked.append(client._received.count(b"RETR"))
        return b"+OK\r\n" + stuff(MESSAGES[0])

    with Scripted(script) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert list(fetch_all(source, listing).values()) == MESSAGES
        source.abort()
    assert asked == [63]


def test_large_messages_limit_how_many_are_under_way() -> None:
    table = replies(
        [b"x\r\n"] * 10, bent={b"LIST": multiline(*[b"%d 3000000" % n for n in range(1, 11)])}
    )
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        arrivals = source.fetch(listing.folder, listing.messages)
        next(arrivals)
        assert sum(line.startswith(b"RETR") for line in server.lines) <= 2
        source.abort()


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ONE_BY_ONE])
def test_content_that_was_left_unread_is_skipped(capabilities: tuple[bytes, ...]) -> None:
    big = b"x" * 500_000 + b"\r\n"
    messages = [big, MESSAGES[0], big, MESSAGES[1]]
    with Scripted(speak(replies(messages, capabilities))) as server:
        source = source_of(server)
        listing = listing_of(source)
        arrived = []
        for fetched in source.fetch(listing.folder, listing.messages):
            assert isinstance(fetched, Arrival)
            if fetched.listed.key in {"uid1", "uid2"}:
                continue
            if fetched.listed.key == "uid3":
                next(fetched.content)
                continue
            arrived.append(b"".join(fetched.content))
        assert arrived == [MESSAGES[1]]
        assert source.delete(listing.folder, listing.messages).pending == {
            "uid1",
            "uid2",
            "uid3",
            "uid4",
        }
        assert len(source.finish().confirmed) == 4


def test_messages_that_are_not_there_vanish_and_refused_ones_are_not_fetched() -> None:
    bent = {
        b"RETR 1": b"-ERR no such message\r\n",
        b"RETR 2": f"-ERR broken {PASSWORD}\r\n".encode(),
    }
    with Scripted(speak(replies(MESSAGES[:3], bent=bent))) as server:
        source = source_of(server)
        listing = listing_of(source)
        messages = [Listed("gone", 1), *listing.messages]
        fetched = list(source.fetch(listing.folder, messages[:3]))
        assert fetched == [
            Vanished(messages[0]),
            Vanished(messages[1], "no such message"),
            Unfetched(messages[2], "the server refused it: broken [redacted]"),
        ]
        assert list(fetch_all(source, listing).values())[2] == MESSAGES[2]
        source.finish()


def test_P5_L2_line_over_2048_bytes() -> None:
    messages = [b"x" * size + b"\r\n" for size in (2049, 100_000, 3_000_000)]
    with Scripted(speak(replies(messages))) as server:
        source = source_of(server)
        assert list(fetch_all(source, listing_of(source)).values()) == messages
        source.finish()


@pytest.mark.parametrize("tail", [b"", b"\r\n", b"\r\n.", b"\r\n.\r"])
def test_P6_no_final_dot_then_close(tail: bytes) -> None:
    table = replies(MESSAGES[:2], bent={b"RETR 1": b"+OK\r\nSubject: half" + tail, b"RETR 2": b""})
    with Scripted(close_after(table, b"RETR 1")) as server:
        source = source_of(server)
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            fetch_all(source, listing_of(source))
        source.abort()


def test_T11_end_without_close_notify_inside_a_message(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    table = replies(MESSAGES[:1], bent={b"RETR 1": b"+OK\r\nSubject: half"})
    with Scripted(close_after(table, b"RETR 1"), tls=authority.server()) as server:
        source = source_of(server, tls="implicit", ca_file=authority.ca_file)
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            fetch_all(source, listing_of(source))
        source.abort()


def test_P7_bare_lf_dot_does_not_end_a_message() -> None:
    message = b"a\n.\nb\n.\r\nc\r\n.d\r\n"
    table = replies([message], bent={b"RETR 1": b"+OK\r\na\n.\nb\n.\r\nc\r\n..d\r\n.\r\n"})
    with Scripted(speak(table)) as server:
        source = source_of(server)
        assert fetch_all(source, listing_of(source)) == {"uid1": message}
        source.finish()


@pytest.mark.parametrize("capabilities", [CAPABILITIES, ONE_BY_ONE])
@pytest.mark.parametrize(
    "rest", [b"the rest\r\n.\r\n", b"-- \r\nsignature\r\n.\r\n", b"+ more\r\n.\r\n", b"+OK\r\n"]
)
def test_P7_an_undoubled_lone_dot_is_not_taken_for_the_end(
    capabilities: tuple[bytes, ...], rest: bytes
) -> None:
    """The server does not stuff, so the message seems to end at its own dot: incomplete, never
    delivered."""
    table = replies(
        MESSAGES[:1], capabilities, bent={b"RETR 1": b"+OK\r\nfirst half\r\n.\r\n" + rest}
    )
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        with pytest.raises(ProtocolViolation, match="something follows the end"):
            fetch_all(source, listing)
        source.abort()


def test_P7_fewer_octets_than_announced_are_doubted_and_not_deleted() -> None:
    table = replies(MESSAGES[:2], bent={b"LIST": multiline(b"1 500", b"2 %d" % len(MESSAGES[1]))})
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        doubts = {}
        for fetched in source.fetch(listing.folder, listing.messages):
            assert isinstance(fetched, Arrival)
            assert b"".join(fetched.content) in MESSAGES
            doubts[fetched.listed.key] = fetched.doubt()
        came = len(MESSAGES[0])
        assert doubts == {"uid1": f"500 octets were announced and {came} came", "uid2": ""}
        deletion = source.delete(listing.folder, listing.messages)
        assert deletion.refused == (("uid1", f"500 octets were announced and {came} came"),)
        assert deletion.pending == {"uid2"}
        assert source.finish().confirmed == {"uid2"}
        assert b"DELE 1" not in server.lines


@pytest.mark.parametrize(
    ("listed", "announced"),
    [
        (b"1 10", b""),  # line ends counted as one, or fewer octets than there are
        (b"1 35", b""),
        (b"1 38", b""),  # the end, or doubled dots, counted too
        (b"1 45", b"30 octets"),
        (b"1 30", b"9000 octets"),  # one of two numbers is right
        (b"1", b"size unknown"),
    ],
)
def test_P13_sizes_are_hints(listed: bytes, announced: bytes) -> None:
    message = b"Subject: 1\r\n\r\n.\r\n..\r\n.end 12\r\n"
    assert len(message) == 30
    table = replies(
        [message],
        bent={
            b"LIST": multiline(listed),
            b"RETR 1": b"+OK " + announced + b"\r\n" + stuff(message),
        },
    )
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert fetch_all(source, listing) == {"uid1": message}
        assert source.delete(listing.folder, listing.messages).pending == {"uid1"}
        source.finish()


@pytest.mark.parametrize(
    ("listed", "announced", "doubted"),
    [
        (48210, b"736 octets", True),
        (48210, b"", True),
        (48210, b"48210 octets", True),
        (1000, b"736 octets", True),
        (980, b"736 octets", False),
        (736, b"", False),
        (742, b"", True),
        (741, b"", False),
        (10, b"736 octets", False),
    ],
)
def test_a_text_in_a_messages_place_is_delivered_and_never_deleted(
    listed: int, announced: bytes, doubted: bool
) -> None:
    """Exchange sends 736 octets that say that the message could not be retrieved."""
    placeholder = b"Subject: could not be retrieved\r\n\r\n".ljust(734, b"x") + b"\r\n"
    table = replies(
        [placeholder],
        bent={
            b"LIST": multiline(b"1 %d" % listed),
            b"RETR 1": b"+OK " + announced + b"\r\n" + stuff(placeholder),
        },
    )
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert fetch_all(source, listing) == {"uid1": placeholder}
        deletion = source.delete(listing.folder, listing.messages)
        assert bool(deletion.refused) == doubted
        assert bool(deletion.pending) != doubted
        source.finish()


def test_P14_content_is_always_asked_for_with_retr() -> None:
    with Scripted(speak(replies(MESSAGES[:2], (*CAPABILITIES, b"TOP")))) as server:
        source = source_of(server)
        fetch_all(source, listing_of(source))
        source.finish()
    assert not [line for line in server.lines if line.startswith(b"TOP")]


def test_I17_a_message_that_dribbles_is_given_up() -> None:
    ended = threading.Event()

    def script(client: Client) -> None:
        table = replies(MESSAGES[:1], bent={b"RETR 1": b"+OK\r\n"})
        client.send(b"+OK\r\n")
        client.answer({**table, b"RETR 1": lambda line: dribble(client)})

    def dribble(client: Client) -> bytes:
        client.send(b"+OK\r\n")
        while not ended.wait(0.01):
            client.send(b"x")
        return b""

    with Scripted(script) as server:
        source = source_of(server, limits=Limits(silence=1, minimum_rate=10_000))
        with pytest.raises(ConnectionFailed, match="octets a second"):
            fetch_all(source, listing_of(source))
        source.abort()
        ended.set()


def test_abort_from_another_thread_ends_a_fetch() -> None:
    table = replies(MESSAGES[:1], bent={b"RETR 1": b"+OK\r\nhalf"})
    with Scripted(speak(table)) as server:
        source = source_of(server)
        listing = listing_of(source)
        fetched = next(source.fetch(listing.folder, listing.messages))
        assert isinstance(fetched, Arrival)
        threading.Timer(0.05, source.abort).start()
        with pytest.raises(ConnectionFailed, match="aborted"):
            list(fetched.content)
        source.abort()
