"""Listing a folder in which one message ends the connection whenever its size is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

import pytest

from reconciler.model.errors import ConnectionFailed, SourceError
from reconciler.model.messages import Listing
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import ImapSource, open_imap
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import DEFAULTS, PASSWORD, Reply, imap, inbox, tagged

OK = b"TAG OK done\r\n"
COUNT = 300
SIZE = 1000
Kill = Callable[[Client, bytes], None]


def close(client: Client, line: bytes) -> None:
    client.close()


def bye(client: Client, line: bytes) -> None:
    client.send(b"* BYE sorry\r\n")
    client.close()


def garbage(client: Client, line: bytes) -> None:
    client.send(
        b"* 7 FETCH (UID 7 RFC822.SIZE {3}\r\nabc{\r\nTraceback (most recent call last):\r\n"
    )
    client.close()


def folder(
    poisoned: Collection[int],
    kill: Kill,
    *,
    flushes: bool = True,
    search: Reply | None = None,
    uids: Reply | None = None,
) -> Mapping[str, Reply]:
    """Of `COUNT` messages some end the connection; `flushes`: what came before them is sent
    first."""

    def fetch(client: Client, line: bytes) -> None:
        text, items = line.split(b" ")[3].decode(), line.split(b" ", 4)[4]
        wanted = [
            uid
            for part in text.split(",")
            for first, _, last in [part.partition(":")]
            for uid in range(int(first), (COUNT if last == "*" else int(last or first)) + 1)
        ]
        if items == b"(UID)":
            if uids is not None:
                assert not isinstance(uids, bytes)
                uids(client, line)
                return
            client.send(
                b"".join(b"* %d FETCH (UID %d)\r\n" % (uid, uid) for uid in wanted)
                + tagged(line, OK)
            )
            return
        found = b""
        for uid in wanted:
            if uid in poisoned:
                client.send(found if flushes else b"")
                kill(client, line)
                return
            found += b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, uid, SIZE)
        client.send(found + tagged(line, OK))

    selected = b"* %d EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK [READ-ONLY] done\r\n" % COUNT
    everything = b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, COUNT + 1)) + b"\r\n" + OK
    return DEFAULTS | {
        "EXAMINE": selected,
        "UID FETCH": fetch,
        "UID FETCH 1:*": fetch,
        "UID SEARCH ALL": search if search is not None else everything,
    }


def opened(server: Scripted, accounts: AccountMemories | None = None) -> ImapSource:
    spec = {
        "protocol": "imap",
        "host": server.host,
        "port": server.port,
        "username": "user",
        "tls": "none",
        "password": {"env": "UNUSED"},
    }
    return open_imap(SourceSpec.model_validate(spec), Secret(PASSWORD), Limits(), accounts)


def logins(server: Scripted) -> int:
    return sum(b" LOGIN " in line for line in server.lines)


def unsized(listing: Listing) -> list[int]:
    assert [listed.key for listed in listing.messages] == [str(uid) for uid in range(1, COUNT + 1)]
    assert {listed.size for listed in listing.messages} <= {SIZE, None}
    return [int(listed.key) for listed in listing.messages if listed.size is None]


@pytest.mark.parametrize("flushes", [True, False])
@pytest.mark.parametrize("kill", [close, bye, garbage])
@pytest.mark.parametrize("poisoned", [{1}, {COUNT}, {123}, {50, 51}])
def test_a_message_whose_size_ends_the_connection_is_listed_without(
    poisoned: set[int], kill: Kill, flushes: bool
) -> None:
    accounts, again = AccountMemories(), []
    with Scripted(imap(folder(poisoned, kill, flushes=flushes))) as server:
        first = opened(server, accounts)
        first.another_login = lambda: again.append(1)
        listing = inbox(first)
        assert unsized(listing) == sorted(poisoned)
        assert any("have no size" in note for note in listing.notes)
        first.finish()
        assert logins(server) == 1 + len(again) <= 20
        before = logins(server)
        second = opened(server, accounts)
        assert unsized(inbox(second)) == sorted(poisoned)
        second.finish()
        assert logins(server) == before + 1  # it is known from then on, and not asked for


@pytest.mark.parametrize("search", [b"TAG NO not here\r\n", b"TAG BAD what?\r\n", close])
def test_where_search_fails_too_uids_are_fetched(search: Reply) -> None:
    with Scripted(imap(folder({7}, close, search=search))) as server:
        source = opened(server)
        assert unsized(inbox(source)) == [7]
        source.finish()


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"* 1 FETCH (UID 1 RFC822.SIZE 70)\r\n",
        b"* 1 FETCH (RFC822.SIZE 70)\r\n",
        b"* 1 FETCH (UID 1 RFC822.SIZE 70)\r\n* 1 FETCH (UID 1 RFC822.SIZE 9)\r\n",
    ],
)
@pytest.mark.parametrize(
    "search",
    [
        b"* SEARCH 1 2 5\r\n" + OK,
        b"* SEARCH 1\r\n" + OK,
        OK,
        b"TAG BAD what?\r\n",
        close,
        b'* ESEARCH (TAG "x") UID ALL 1:2,5\r\n' + OK,
    ],
)
def test_what_a_listing_leaves_out_is_asked_for_in_another_way(
    listed: bytes, search: Reply
) -> None:
    replies: dict[str, Reply] = {
        "UID FETCH 1:*": listed + OK,
        "UID SEARCH ALL": search,
        "UID FETCH": listed + OK,
        "UID FETCH 1:* (UID)": b"".join(b"* 1 FETCH (UID %d)\r\n" % uid for uid in (1, 2, 5)) + OK,
    }
    accounts = AccountMemories()
    with Scripted(imap(replies)) as server:
        for _ in range(2):
            source = opened(server, accounts)
            assert [found.key for found in inbox(source).messages] == ["1", "2", "5"]
            source.finish()
        assert logins(server) <= 3  # that SEARCH ends the connection is remembered


def test_what_no_way_lists_is_said_and_is_asked_for_once() -> None:
    one = b"* 1 FETCH (UID 1 RFC822.SIZE 70)\r\n" + OK
    accounts = AccountMemories()
    with Scripted(
        imap({"UID FETCH": one, "UID FETCH 1:*": one, "UID SEARCH ALL": b"* SEARCH 1\r\n" + OK})
    ) as server:
        for _ in range(2):
            source = opened(server, accounts)
            listing = inbox(source)
            source.finish()
            assert listing.partial
            assert any("3 messages" in note and "lists 1" in note for note in listing.notes)
        assert sum(b"SEARCH ALL" in line for line in server.lines) == 1


def test_fewer_because_somebody_removed_them_is_all_of_them() -> None:
    selected = DEFAULTS["EXAMINE"]
    assert isinstance(selected, bytes)
    one = b"* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 FETCH (UID 1 RFC822.SIZE 70)\r\n" + OK
    with Scripted(
        imap({"EXAMINE": [selected, selected.replace(b"3 EX", b"1 EX")], "UID FETCH 1:*": one})
    ) as server:
        source = opened(server)
        listing = inbox(source)
        source.finish()
    assert ([found.key for found in listing.messages], listing.partial, listing.notes) == (
        ["1"],
        False,
        (),
    )


@pytest.mark.parametrize("count", [b"", b"* OK [UIDNEXT 6] next\r\n", b"* x EXISTS\r\n"])
def test_where_no_number_of_messages_is_told_they_are_listed(count: bytes) -> None:
    selected = DEFAULTS["EXAMINE"]
    assert isinstance(selected, bytes)
    with Scripted(imap({"EXAMINE": selected.replace(b"* 3 EXISTS\r\n", count)})) as server:
        source = opened(server)
        assert [found.key for found in inbox(source).messages] == ["1", "2", "5"]
        source.finish()


def test_many_of_the_kind_cost_a_bounded_number_of_logins_and_all_are_listed() -> None:
    with Scripted(imap(folder(set(range(1, COUNT, 2)), close))) as server:
        source = opened(server)
        assert set(range(1, COUNT, 2)) <= set(unsized(inbox(source)))
        source.finish()
        assert logins(server) <= 20


def test_a_server_that_lists_in_no_way_fails_and_is_left_in_peace() -> None:
    with Scripted(imap(folder({1}, close, search=close, uids=close))) as server:
        source = opened(server)
        with pytest.raises(ConnectionFailed):
            inbox(source)
        source.abort()
        assert logins(server) <= 4


def test_a_folder_that_was_numbered_anew_between_two_connections_is_not_listed() -> None:
    replies = dict(folder({7}, close))
    selected = replies["EXAMINE"]
    assert isinstance(selected, bytes)
    with Scripted(
        imap(replies | {"EXAMINE": [selected, re.sub(rb"77", b"78", selected)]})
    ) as server:
        source = opened(server)
        with pytest.raises(SourceError):
            inbox(source)
        source.abort()
