"""A POP3 server's replies as a table, to be bent row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from reconciler.model.messages import Arrival, Fetched, Listing
from reconciler.model.secret import Secret
from reconciler.sources.pop3 import Pop3Source
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint, Tls
from reconciler.wire.sasl import Credentials
from tests.servers.scripted import Client, Script, Scripted

Reply = bytes | Callable[[bytes], bytes]
PASSWORD = "canary-9f3b"
CAPABILITIES = (b"USER", b"UIDL", b"PIPELINING", b"RESP-CODES", b"SASL PLAIN")


def stuff(message: bytes) -> bytes:
    """As RFC 1939 sends it, end included; `message` has CRLF line ends and ends with one."""
    return re.sub(rb"(^|(?<=\r\n))\.", b"..", message) + b".\r\n"


def multiline(*lines: bytes) -> bytes:
    return b"+OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b".\r\n"


def replies(
    messages: Sequence[bytes] = (),
    capabilities: Sequence[bytes] = CAPABILITIES,
    bent: Mapping[bytes, Reply] | None = None,
) -> dict[bytes, Reply]:
    """What a good server answers, by the beginning of the command; `bent` replaces rows. UIDLs are
    uid1, uid2, …"""
    numbered = list(enumerate(messages, 1))
    table: dict[bytes, Reply] = {
        b"CAPA": multiline(*capabilities),
        b"AUTH PLAIN ": b"+OK\r\n",
        b"USER ": b"+OK\r\n",
        b"PASS ": b"+OK\r\n",
        b"LIST": multiline(*[b"%d %d" % (number, len(message)) for number, message in numbered]),
        b"UIDL": multiline(*[b"%d uid%d" % (number, number) for number, _ in numbered]),
        b"DELE ": b"+OK\r\n",
        b"QUIT": b"+OK\r\n",
    }
    table |= {b"RETR %d" % number: b"+OK\r\n" + stuff(message) for number, message in numbered}
    return table | dict(bent or {})


def speak(table: Mapping[bytes, Reply], greeting: bytes = b"+OK ready\r\n") -> Script:
    """Greet, then answer by `table` until QUIT."""

    def script(client: Client) -> None:
        client.send(greeting)
        client.answer(table)
        client.wait()

    return script


def close_after(table: Mapping[bytes, Reply], last: bytes) -> Script:
    """Answer by `table` up to the line that begins with `last`, then close the connection."""

    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        line = b""
        while not line.startswith(last):
            line = client.line()
            reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
            client.send(reply if isinstance(reply, bytes) else reply(line))

    return script


def source_of(
    server: Scripted,
    *,
    tls: Tls = "none",
    username: str = "user",
    password: str = PASSWORD,
    ca_file: str | None = None,
    limits: Limits | None = None,
) -> Pop3Source:
    endpoint = Endpoint(server.host, server.port, tls, ca_file)
    return Pop3Source(endpoint, Credentials(username, Secret(password)), limits or Limits())


def listing_of(source: Pop3Source) -> Listing:
    [listing] = source.listings(writable=True)
    return listing


def fetch_all(source: Pop3Source, listing: Listing) -> dict[str, bytes | Fetched]:
    """Each key with its message, or with what came instead."""
    return {
        fetched.listed.key: b"".join(fetched.content) if isinstance(fetched, Arrival) else fetched
        for fetched in source.fetch(listing.folder, listing.messages)
    }
