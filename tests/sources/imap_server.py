"""A scripted IMAP server that behaves, but for what a test tells it to say; and a source for any
server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reconciler.model.messages import Arrival, Fetched, Listing, Unfetched, Vanished
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import ImapSource, open_imap
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Client, Script, Scripted

PASSWORD = "pa$$word"
GREETING = b"* OK ready\r\n"
BODIES = {
    1: b"Subject: one\r\n\r\nfirst\r\n",
    2: b"Subject: two\r\n\r\nsecond\r\n",
    5: b"Subject: five\r\n\r\nend\r\n",
}
Reply = bytes | Callable[[Client, bytes], None]
"""Octets, TAG standing for the command's tag; or what is done with the client and the whole
line."""


def tagged(line: bytes, reply: bytes) -> bytes:
    return reply.replace(b"TAG", line.split(b" ")[0])


def fetched(uid: int, body: bytes, item: bytes = b"BODY[]") -> bytes:
    return b"* %d FETCH (UID %d %s {%d}\r\n%s)\r\n" % (uid, uid, item, len(body), body)


def sizes(bodies: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(
        b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, uid, size) for uid, size in bodies
    )


_EXISTING = re.compile(r"UID FETCH [\d:,*]+ \(UID\)")


def existing(search: bytes) -> bytes:
    """The answer to UID FETCH (UID) of a server that answers UID SEARCH so."""
    lines = search.split(b"\r\n")
    uids = {word for line in lines if line.startswith(b"* SEARCH") for word in line.split()[2:]}
    told = b"".join(b"* 1 FETCH (UID %s)\r\n" % uid for uid in sorted(uids) if uid.isdigit())
    return told + b"\r\n".join(line for line in lines if not line.startswith(b"* SEARCH"))


SELECTED = b"* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK [READ-ONLY] done\r\n"
DEFAULTS: dict[str, Reply] = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n",
    "LOGIN": b"TAG OK logged in\r\n",
    "EXAMINE": SELECTED,
    "SELECT": SELECTED.replace(b"READ-ONLY", b"READ-WRITE"),
    "UID FETCH 1:*": sizes((uid, len(body)) for uid, body in BODIES.items()) + b"TAG OK done\r\n",
    "NOOP": b"TAG OK done\r\n",
    "UID SEARCH": b"* SEARCH 1 2 5\r\nTAG OK done\r\n",
    "LOGOUT": b"* BYE bye\r\nTAG OK done\r\n",
}


def imap(
    replies: Mapping[str, Reply | Sequence[Reply]] | None = None, greeting: bytes = GREETING
) -> Script:
    """Answer each command by the longest of the beginnings in DEFAULTS and `replies`. Where these
    are several, each is given once, the last one for ever."""
    known: dict[str, list[Reply]] = {
        begin: [reply] if isinstance(reply, bytes) or callable(reply) else list(reply)
        for begin, reply in {**DEFAULTS, **(replies or {})}.items()
    }

    def script(client: Client) -> None:
        client.send(greeting)
        while True:
            line = client.line()
            command = line.partition(b" ")[2].decode()
            begin = max(
                (begin for begin in known if command.startswith(begin)), key=len, default=None
            )
            if _EXISTING.fullmatch(command) and (begin is None or begin not in (replies or {})):
                begin = "UID SEARCH"
            assert begin is not None, f"unexpected: {line!r}"
            reply = known[begin].pop(0) if len(known[begin]) > 1 else known[begin][0]
            if callable(reply):
                reply(client, line)
            elif _EXISTING.fullmatch(command) and begin == "UID SEARCH":
                client.send(tagged(line, existing(reply)))
            else:
                client.send(tagged(line, reply))

    return script


def source(server: Scripted, limits: Limits | None = None, **declared: Any) -> ImapSource:
    return source_at(server.host, server.port, PASSWORD, limits, **({"tls": "none"} | declared))


def source_at(
    host: str, port: int, password: str, limits: Limits | None = None, **declared: Any
) -> ImapSource:
    spec = {
        "protocol": "imap",
        "host": host,
        "port": port,
        "username": "user",
        "password": {"env": "UNUSED"},
    }
    return open_imap(
        SourceSpec.model_validate(spec | declared), Secret(password), limits or Limits()
    )


def inbox(opened: ImapSource, *, writable: bool = False) -> Listing:
    """The only listing."""
    [listing] = opened.listings(writable=writable)
    return listing


def collect(opened: ImapSource, listing: Listing) -> list[bytes | str]:
    """What became of each message, as they come: its octets, "vanished", or why it was not
    fetched."""
    return [outcome(found) for found in opened.fetch(listing.folder, listing.messages)]


def outcome(found: Fetched) -> bytes | str:
    match found:
        case Arrival(content=content):
            return b"".join(content)
        case Vanished():
            return "vanished"
        case Unfetched(reason=reason):
            return reason
