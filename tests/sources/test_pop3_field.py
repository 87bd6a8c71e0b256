"""What POP3 servers of the field do: a mailbox's own record among the messages, pipelining that is
not understood."""

from __future__ import annotations

import pytest

from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.model.messages import Unfetched
from reconciler.model.secret import Secret
from reconciler.sources.pop3 import Pop3Source
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.sasl import Credentials
from tests.servers.scripted import Client, Scripted
from tests.sources.pop3_scripts import (
    PASSWORD,
    fetch_all,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
    stuff,
)

INTERNAL = (
    b"From: Mail System Internal Data <MAILER-DAEMON@host.example>\r\n"
    b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1234567890 "
    b"0000000042\r\n"
    b"Status: RO\r\n\r\nThis text is part of the internal format of your mail folder.\r\n"
)
MAIL = b"Subject: hello\r\n\r\nhello\r\n"


@pytest.mark.parametrize(
    "record",
    [
        INTERNAL,
        INTERNAL.lower(),
        INTERNAL.replace(b"X-IMAP:", b"X-IMAPbase:"),
        INTERNAL.replace(b"X-IMAP:", b"X-Other:"),
    ],
)
def test_a_mailbox_s_own_record_is_no_mail(record: bytes) -> None:
    with Scripted(speak(replies([record, MAIL]))) as server:
        source = source_of(server)
        found = fetch_all(source, listing_of(source))
        source.finish()
    assert found["uid2"] == MAIL
    refused = found["uid1"]
    assert isinstance(refused, Unfetched)
    assert refused.final
    assert "own record" in refused.reason


@pytest.mark.parametrize(
    "mail",
    [
        (
            b"Subject: Re: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nFrom: "
            b"a@b.example\r\n\r\nwhat is this?\r\n"
        ),
        b"Subject: help\r\n\r\n" + INTERNAL,
        MAIL,
        INTERNAL + b"x" * 10_000 + b"\r\n",
    ],
)
def test_mail_about_such_records_is_mail(mail: bytes) -> None:
    with Scripted(speak(replies([mail, MAIL]))) as server:
        source = source_of(server)
        assert list(fetch_all(source, listing_of(source)).values()) == [mail, MAIL]
        source.finish()


def test_only_the_first_message_can_be_one() -> None:
    with Scripted(speak(replies([MAIL, INTERNAL]))) as server:
        source = source_of(server)
        assert list(fetch_all(source, listing_of(source)).values()) == [MAIL, INTERNAL]
        source.finish()


BODIES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 6)]


def mixing(client: Client) -> None:
    """Right when it is asked one by one; else the next status line comes before the dot."""
    table = replies(BODIES)
    client.send(b"+OK ready\r\n")
    line = b""
    while line != b"QUIT":
        line = client.line()
        asked = [line]
        while b"\r\n" in client._received and line.startswith(b"RETR"):
            asked.append(client.line())
        if len(asked) == 1:
            reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
            assert isinstance(reply, bytes)
            client.send(reply)
            continue
        client.send(b"+OK\r\n")
        for left, command in zip(range(len(asked) - 1, -1, -1), asked, strict=True):
            body = stuff(BODIES[int(command.split()[1]) - 1])
            client.send(body[:-3] + (b"+OK\r\n" if left else b"") + b".\r\n")


def test_a_server_that_mixes_up_pipelined_replies_is_asked_one_by_one_from_then_on() -> None:
    accounts = AccountMemories()
    with Scripted(mixing) as server:

        def opened() -> Pop3Source:
            return Pop3Source(
                Endpoint(server.host, server.port, "none"),
                Credentials("user", Secret(PASSWORD)),
                Limits(),
                accounts,
            )

        source = opened()
        listing = listing_of(source)
        with pytest.raises(ProtocolViolation):
            fetch_all(
                source, listing
            )  # nothing is taken for whole that holds a part of another reply
        source.abort()
        for _ in range(2):
            source = opened()
            assert list(fetch_all(source, listing_of(source)).values()) == BODIES
            source.finish()


def overwhelmed(client: Client) -> None:
    """Closes when a second command comes before the first is answered."""
    table = replies(BODIES)
    client.send(b"+OK ready\r\n")
    line = b""
    while line != b"QUIT":
        line = client.line()
        if line.startswith(b"RETR") and b"\r\n" in client._received:
            client.close()
            return
        reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
        assert isinstance(reply, bytes)
        client.send(reply)


def test_a_server_that_closes_on_pipelined_commands_is_asked_one_by_one_from_then_on() -> None:
    accounts = AccountMemories()
    with Scripted(overwhelmed) as server:

        def opened() -> Pop3Source:
            return Pop3Source(
                Endpoint(server.host, server.port, "none"),
                Credentials("user", Secret(PASSWORD)),
                Limits(),
                accounts,
            )

        source = opened()
        listing = listing_of(source)
        with pytest.raises(ConnectionFailed):
            fetch_all(source, listing)
        source.abort()
        source = opened()
        assert list(fetch_all(source, listing_of(source)).values()) == BODIES
        source.finish()


@pytest.mark.parametrize(
    "status", [b"+OK\n", b"+ok here it comes\r\n", b"+OK, 23 octets\r\n", b"+OK\r\n"]
)
def test_status_lines_as_others_write_them(status: bytes) -> None:
    bent = {b"RETR 1": status + stuff(MAIL), b"DELE ": b"-ERR: no\n", b"NOOP": b"+OK\n"}
    with Scripted(speak(replies([MAIL], bent=bent))) as server:
        source = source_of(server)
        listing = listing_of(source)
        assert fetch_all(source, listing) == {"uid1": MAIL}
        assert "no" in source.delete(listing.folder, listing.messages).refused[0][1]
        source.finish()


@pytest.mark.parametrize(
    "status",
    [
        b"OK\r\n",
        b"+OKAY\r\n",
        b"* OK\r\n",
        b"HTTP/1.1 200\r\n",
        b"-ERRATIC\r\n",
        b"\r\n" * 20,
    ],
)
def test_what_is_no_status_line(status: bytes) -> None:
    with Scripted(speak(replies([MAIL], bent={b"LIST": status}))) as server:
        source = source_of(server)
        with pytest.raises(ProtocolViolation, match="does not answer as POP3 does"):
            listing_of(source)
        source.abort()


MESSAGES = (
    b"Subject: one\r\n\r\n.dot\r\n",
    b"Subject: two\r\n\r\nsec\0ond\r\n",
    b"Subject: three\r\n\r\n\r\n.\n\r\n",
)
_SIZES = [b"%d %d" % (number, len(text)) for number, text in enumerate(MESSAGES, 1)]
_KEYS = [b"%d uid%d" % (number, number) for number in range(1, 4)]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"LIST", multiline(b"3 messages:", *_SIZES)),
        (b"LIST", multiline(b"Scan listing follows", b"", *_SIZES)),
        (b"LIST", multiline(*[line.replace(b" ", b"\t") for line in _SIZES])),
        (b"LIST", multiline(*[line.replace(b" ", b": ") + b" octets x" for line in _SIZES])),
        (b"LIST", multiline(*[b" 0" + line.replace(b" ", b"  (") + b") " for line in _SIZES])),
        (b"LIST", multiline(*_SIZES).replace(b"+OK", b" +ok:\t3 messages", 1)),
        (b"LIST", multiline(*reversed(_SIZES))),
        (b"UIDL", multiline(*[line.replace(b" ", b"\t") + b"  " for line in _KEYS])),
        (b"UIDL", b"\r\n" + multiline(b"unique-id listing follows", *_KEYS)),
        (b"RETR 2", b"+ok\n" + stuff(MESSAGES[1])),
        (b"CAPA", multiline(b" user", b"\tuidl x", b"", b"SASL", b"LOGIN-DELAY soon")),
        (b"CAPA", b"-err\t\n"),
        (b"QUIT", b"-ERR\r\n"),
    ],
)
def test_pop3_as_it_is_spoken(command: bytes, answer: bytes) -> None:
    with Scripted(speak(replies(MESSAGES, bent={command: answer}), b"\r\n +OK\r\n")) as server:
        opened = source_of(server)
        listing = listing_of(opened)
        assert fetch_all(opened, listing) == {
            f"uid{number}": text for number, text in enumerate(MESSAGES, 1)
        }
        assert listing.notes == ()
        opened.finish()
        opened.abort()
