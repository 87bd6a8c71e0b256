"""The demo's small mail server, asked by the standard library's clients."""

from __future__ import annotations

import imaplib
import poplib
import ssl
from collections.abc import Iterator

import pytest

from demo.mailserver.server import SmallServer
from tests.servers import mail

USER = "пример@shop.example"
BODIES = [
    b"Subject: one\n\n.dot\n",
    b"Subject: two\n\nlast line without an end",
    b"Subject: three\n\n" + (b"x" * 69 + b"\n") * 70,
]


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer() as started:
        started.deliver(USER, BODIES)
        yield started


def on_wire(body: bytes) -> bytes:
    return body.replace(b"\n", b"\r\n")


def trust(server: SmallServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.ca_file))


def imap(server: SmallServer, *, starttls: bool = False) -> imaplib.IMAP4:
    client: imaplib.IMAP4
    if starttls:
        client = imaplib.IMAP4(server.host, server.ports["imap"])
        client.starttls(trust(server))
    else:
        client = imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=trust(server))
    client.authenticate("PLAIN", lambda _: f"\0{USER}\0{server.password}".encode())
    return client


def pop3(server: SmallServer) -> poplib.POP3:
    client = poplib.POP3(server.host, server.ports["pop3"])
    client.stls(trust(server))
    client.user(USER)
    client.pass_(server.password)
    return client


def uids(client: imaplib.IMAP4, *criteria: str) -> list[bytes]:
    found: list[bytes] = client.uid("SEARCH", *criteria)[1][0].split()
    return found


@pytest.mark.parametrize("starttls", [False, True])
def test_imap_gives_every_octet_in_parts_too(server: SmallServer, starttls: bool) -> None:
    with imap(server, starttls=starttls) as client:
        assert client.select("inbox", readonly=True) == ("OK", [b"3"])
        whole = [
            each[1]
            for each in client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")[1]
            if isinstance(each, tuple)
        ]
        assert whole == [on_wire(body) for body in BODIES]
        (part, _) = client.uid("FETCH", "3", "(BODY.PEEK[]<10.20>)")[1]
        assert part[1] == on_wire(BODIES[2])[10:30]
        (header, _) = client.uid("FETCH", "1", "(BODY.PEEK[HEADER] RFC822.SIZE)")[1]
        assert header[1] == b"Subject: one\r\n\r\n"


def test_imap_expunges_what_it_was_told_and_no_more(server: SmallServer) -> None:
    with imap(server) as client:
        client.select("INBOX")
        client.uid("STORE", "1,3", "+FLAGS.SILENT", "(\\Deleted)")
        client.uid("EXPUNGE", "3")
        assert uids(client, "ALL") == [b"1", b"2"]
        assert uids(client, "DELETED") == [b"1"]
        server.deliver(USER, [mail.message(4)])
        client.noop()
        assert uids(client, "ALL") == [b"1", b"2", b"4"]
        assert client.status("INBOX", "(UIDNEXT)")[1] == [b'"INBOX" (UIDNEXT 5)']
    assert len(server.messages(USER)) == 3


def test_imap_opened_for_reading_changes_nothing(server: SmallServer) -> None:
    with imap(server) as client:
        client.select("INBOX", readonly=True)
        assert client.uid("STORE", "1", "+FLAGS", "(\\Deleted)")[0] == "NO"
        assert client.uid("EXPUNGE", "1:*")[0] == "NO"
    assert len(server.messages(USER)) == 3


def test_imap_lists_folders(server: SmallServer) -> None:
    server.deliver(USER, [mail.message(1)], "Lists/one")
    with imap(server) as client:
        assert client.list()[1] == [b'() "/" "INBOX"', b'() "/" "Lists/one"']
        assert client.list(pattern="%")[1] == [b'() "/" "INBOX"']
        assert client.select("Lists/two")[0] == "NO"


def test_pop3_gives_every_octet_and_deletes_at_quit(server: SmallServer) -> None:
    client = pop3(server)
    lines = [client.retr(number)[1] for number in (1, 2, 3)]
    assert [b"\r\n".join(each).rstrip() for each in lines] == [
        on_wire(body).rstrip() for body in BODIES
    ]
    assert client.top(1, 0)[1] == [b"Subject: one", b""]
    assert len({line.split()[1] for line in client.uidl()[1]}) == 3
    client.dele(2)
    assert len(server.messages(USER)) == 3
    client.quit()
    assert server.messages(USER) == [on_wire(BODIES[0]), on_wire(BODIES[2])]


def test_pop3_that_breaks_off_deletes_nothing(server: SmallServer) -> None:
    client = pop3(server)
    client.dele(1)
    client.close()
    again = pop3(server)
    assert again.stat()[0] == 3
    again.quit()


def test_a_wrong_password_is_refused(server: SmallServer) -> None:
    with (
        imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=trust(server)) as client,
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
    ):
        client.login(USER.encode("ascii", "replace").decode(), "wrong")
    other = poplib.POP3_SSL(server.host, server.ports["pop3s"], context=trust(server))
    other.user(USER)
    with pytest.raises(poplib.error_proto, match="AUTH"):
        other.pass_("wrong")
    other.close()
