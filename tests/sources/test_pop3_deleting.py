"""DELE and QUIT: what is gone, and what only might be."""

from __future__ import annotations

import pytest

from reconciler.model.messages import Deletion, Listed
from tests.servers.scripted import Client, Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    PASSWORD,
    Reply,
    close_after,
    fetch_all,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
)

MESSAGES = [b"a\r\n", b"bb\r\n", b"ccc\r\n"]


@pytest.mark.parametrize("capabilities", [CAPABILITIES, (b"USER", b"UIDL")])
def test_deletes_are_pending_until_quit_confirms_them(capabilities: tuple[bytes, ...]) -> None:
    with Scripted(speak(replies(MESSAGES, capabilities))) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert source.delete(listing.folder, listing.messages[:2]) == Deletion(
            pending=frozenset({"uid1", "uid2"})
        )
        assert source.finish() == Deletion(confirmed=frozenset({"uid1", "uid2"}))
    assert server.lines[-3:] == [b"DELE 1", b"DELE 2", b"QUIT"]


def test_many_deletes_are_sent_in_portions() -> None:
    with Scripted(speak(replies([b"x\r\n"] * 1000))) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert len(source.delete(listing.folder, listing.messages).pending) == 1000
        assert len(source.finish().confirmed) == 1000


def test_P2_ambiguous_messages_are_deleted_only_when_this_session_retrieved_them() -> None:
    bent: dict[bytes, Reply] = {b"UIDL": multiline(b"1 same", b"2 same", b"3 other")}
    with Scripted(speak(replies(MESSAGES, bent=bent))) as server:
        source = source_of(server)
        listing = listing_of(source)
        first, second, _ = listing.messages
        list(source.fetch(listing.folder, [first]))  # left unread: not retrieved
        [arrival] = [list(fetched.content) for fetched in source.fetch(listing.folder, [second])]  # type: ignore[union-attr]
        assert arrival == [b"bb\r\n"]
        deletion = source.delete(listing.folder, listing.messages)
        assert deletion.pending == {"same #2", "other"}
        assert [key for key, _ in deletion.refused] == ["same"]
        source.finish()
    assert [line for line in server.lines if line.startswith(b"DELE")] == [b"DELE 2", b"DELE 3"]


def test_P1_without_uidl_only_what_was_retrieved_is_deleted() -> None:
    with Scripted(speak(replies(MESSAGES, (b"USER",), {b"UIDL": b"-ERR\r\n"}))) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert len(source.delete(listing.folder, listing.messages).refused) == 3
        fetch_all(source, listing)
        assert len(source.delete(listing.folder, listing.messages).pending) == 3
        source.finish()


def test_P9_a_refused_dele_leaves_the_others_alone() -> None:
    with Scripted(
        speak(
            replies(
                MESSAGES,
                bent={b"DELE 2": f"-ERR not you, {PASSWORD}\r\n".encode(), b"NOOP": b"+OK\r\n"},
            )
        )
    ) as server:
        source = source_of(server)
        listing = listing_of(source)
        deletion = source.delete(listing.folder, listing.messages)
        assert deletion == Deletion(
            pending=frozenset({"uid1", "uid3"}),
            refused=(("uid2", "DELE refused: not you, [redacted]"),),
        )
        assert source.finish().confirmed == {"uid1", "uid3"}


def test_what_is_not_listed_is_not_deleted() -> None:
    with Scripted(speak(replies(MESSAGES))) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert source.delete(listing.folder, [Listed("elsewhere", 1)]).refused == (
            ("elsewhere", "it is not on the server"),
        )
        source.finish()


def test_P10_a_refused_quit_confirms_nothing() -> None:
    with Scripted(
        speak(replies(MESSAGES, bent={b"QUIT": b"-ERR some messages were not removed\r\n"}))
    ) as server:
        source = source_of(server)
        listing = listing_of(source)
        source.delete(listing.folder, listing.messages[:1])
        assert source.finish() == Deletion(
            refused=(("uid1", "QUIT refused: some messages were not removed"),)
        )


def test_P10_a_connection_lost_at_quit_confirms_nothing() -> None:
    with Scripted(close_after(replies(MESSAGES, bent={b"QUIT": b""}), b"QUIT")) as server:
        source = source_of(server)
        listing = listing_of(source)
        source.delete(listing.folder, listing.messages[:1])
        [(key, reason)] = source.finish().refused
        assert key == "uid1"
        assert "closed the connection" in reason


def test_a_connection_lost_at_quit_is_no_failure_when_nothing_was_pending() -> None:
    with Scripted(close_after(replies(MESSAGES, bent={b"QUIT": b""}), b"QUIT")) as server:
        source = source_of(server)
        listing_of(source)
        assert source.finish() == Deletion()


def test_quit_is_not_sent_into_unread_messages() -> None:
    with Scripted(speak(replies(MESSAGES))) as server:
        source = source_of(server)
        listing = listing_of(source)
        source.delete(listing.folder, listing.messages[:1])
        next(source.fetch(listing.folder, listing.messages[1:]))
        assert source.finish() == Deletion(refused=(("uid1", "the session was broken off"),))
    assert b"QUIT" not in server.lines


def test_finish_without_a_session_says_nothing_to_anybody() -> None:
    with Scripted(Client.wait) as server:
        assert source_of(server).finish() == Deletion()
        assert server.connections == 0
