"""Servers that close the connection when they are to list one message."""

from __future__ import annotations

import pytest

from reconciler.model.errors import ConnectionFailed
from reconciler.model.secret import Secret
from reconciler.sources.pop3 import Pop3Source
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.sasl import Credentials
from tests.servers.scripted import Client, Script, Scripted
from tests.sources.pop3_scripts import CAPABILITIES, PASSWORD, fetch_all, listing_of, replies

COUNT = 100
BODIES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, COUNT + 1)]
SLOW = tuple(each for each in CAPABILITIES if each != b"PIPELINING")


def closing(
    command: bytes,
    poisoned: set[int],
    capabilities: tuple[bytes, ...],
    *,
    flushes: bool,
    unlucky: int = 0,
) -> Script:
    """`flushes`: the lines of those before come first. Else what is asked for in one go is answered
    in one go, or not at all. `unlucky`: the UIDL of this one ends the connection once."""
    broken: list[int] = []
    table = replies(BODIES, capabilities)
    single = {number: b"+OK %d uid%d\r\n" % (number, number) for number in range(1, COUNT + 1)}

    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        line = held = b""
        while line != b"QUIT":
            line = client.line()
            if line == command and poisoned:
                if flushes:
                    whole = table[line]
                    assert isinstance(whole, bytes)
                    client.send(b"".join(whole.splitlines(keepends=True)[: min(poisoned)]))
                client.close()
                return
            if line.startswith(b"UIDL "):
                number = int(line.split()[1])
                if number in poisoned or (number == unlucky and not broken):
                    broken.append(number)
                    client.close()
                    return
                held += single[number]
                if flushes or not client._received:
                    client.send(held)
                    held = b""
                continue
            reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
            assert isinstance(reply, bytes)
            client.send(reply)
        client.wait()

    return script


def opened(server: Scripted, accounts: AccountMemories) -> Pop3Source:
    return Pop3Source(
        Endpoint(server.host, server.port, "none"),
        Credentials("user", Secret(PASSWORD)),
        Limits(),
        accounts,
    )


def logins(server: Scripted) -> int:
    return sum(line.startswith((b"AUTH", b"PASS")) for line in server.lines)


@pytest.mark.parametrize("flushes", [True, False])
@pytest.mark.parametrize("capabilities", [CAPABILITIES, SLOW])
def test_where_list_ends_the_connection_sizes_are_done_without(
    capabilities: tuple[bytes, ...], flushes: bool
) -> None:
    accounts, again = AccountMemories(), []
    with Scripted(closing(b"LIST", {7}, capabilities, flushes=flushes)) as server:
        source = opened(server, accounts)
        source.another_login = lambda: again.append(1)
        listing = listing_of(source)
        assert [listed.key for listed in listing.messages] == [
            f"uid{number}" for number in range(1, COUNT + 1)
        ]
        assert {listed.size for listed in listing.messages} == {None}
        assert any("sizes" in note for note in listing.notes)
        assert list(fetch_all(source, listing).values()) == BODIES
        source.finish()
        assert logins(server) == 1 + len(again) <= 4
        before = logins(server)
        source = opened(server, accounts)
        assert len(listing_of(source).messages) == COUNT
        source.finish()
        assert logins(server) == before + 1


@pytest.mark.parametrize("flushes", [True, False])
@pytest.mark.parametrize("capabilities", [CAPABILITIES, SLOW])
@pytest.mark.parametrize("poisoned", [{1}, {COUNT}, {50, 51}])
def test_where_uidl_ends_the_connection_one_is_asked_for_at_a_time(
    poisoned: set[int], capabilities: tuple[bytes, ...], flushes: bool
) -> None:
    accounts = AccountMemories()
    with Scripted(closing(b"UIDL", poisoned, capabilities, flushes=flushes)) as server:
        source = opened(server, accounts)
        listing = listing_of(source)
        assert [listed.key for listed in listing.messages] == [
            f"uid{number}" for number in range(1, COUNT + 1) if number not in poisoned
        ]
        assert any("UIDL" in note for note in listing.notes)
        source.reconnect()
        assert set(fetch_all(source, listing).values()) == {
            body for number, body in enumerate(BODIES, 1) if number not in poisoned
        }
        source.finish()
        assert logins(server) <= 8
        before = logins(server)
        source = opened(server, accounts)
        assert len(listing_of(source).messages) == COUNT - len(poisoned)
        source.finish()
        assert logins(server) == before + 1


def test_a_connection_that_ends_once_at_a_uidl_leaves_no_message_alone() -> None:
    bad = closing(b"UIDL", {80}, CAPABILITIES, flushes=True, unlucky=40)
    with Scripted(bad) as server:
        source = opened(server, AccountMemories())
        listing = listing_of(source)
        assert [listed.key for listed in listing.messages] == [
            f"uid{number}" for number in range(1, COUNT + 1) if number != 80
        ]
        source.finish()


def test_a_server_that_lists_nothing_costs_a_bounded_number_of_logins() -> None:
    with Scripted(
        closing(b"UIDL", set(range(1, COUNT + 1)), CAPABILITIES, flushes=False)
    ) as server:
        source = opened(server, AccountMemories())
        with pytest.raises(ConnectionFailed):
            listing_of(source)
        source.abort()
        assert logins(server) <= 7


def test_after_an_abort_no_other_connection_is_made() -> None:
    with Scripted(closing(b"UIDL", set(), CAPABILITIES, flushes=True)) as server:
        source = opened(server, AccountMemories())
        listing_of(source)
        source.abort()
        with pytest.raises(ConnectionFailed, match="aborted"):
            source.reconnect()
        assert server.connections == 1
