"""What is kept of the dialogue with a server: hazard S1 above all."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from reconciler.model.errors import SourceError
from reconciler.model.interfaces import Source
from reconciler.model.messages import Arrival
from reconciler.model.secret import REDACTED, Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import open_imap
from reconciler.sources.pop3 import open_pop3
from reconciler.wire.connection_limits import Limits
from reconciler.wire.transcript import LINES, OCTETS, Transcript
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Client, Script, Scripted
from tests.sources.imap_server import imap, tagged
from tests.sources.pop3_scripts import multiline, replies, speak
from tests.sources.said import leaks, said

PASSWORD = 'hunter"two\\forty-two'
TOKEN = "ya29.a0AfH6SMBx" + "Qz7Kd-9" * 40
PROOFS = "scram-sha-256 scram-sha-1 cram-md5 plain login"


def session(
    protocol: str, host: str, port: int, secret: str, *, token: bool = False, user: str = "user"
) -> Transcript:
    """A session that lists and fetches everything, or fails on the way."""
    login = {
        "oauth2": {
            "provider": "google",
            "clientId": "c",
            "clientSecret": {"env": "X"},
            "refreshToken": {"env": "X"},
        }
    }
    spec = SourceSpec.model_validate(
        {
            "protocol": protocol,
            "host": host,
            "port": port,
            "tls": "none",
            "username": user,
            **(login if token else {"password": {"env": "X"}}),
        }
    )
    transcript = Transcript()
    opened = open_imap if protocol == "imap" else open_pop3
    source: Source = opened(spec, Secret(secret), Limits(), transcript=transcript)
    try:
        with suppress(SourceError):
            for listing in source.listings(writable=False):
                for found in source.fetch(listing.folder, listing.messages):
                    if isinstance(found, Arrival):
                        b"".join(found.content)
            source.finish()
    finally:
        source.abort()
    return transcript


@pytest.fixture(
    scope="module",
    params=[PROOFS, PROOFS.removeprefix("scram-sha-256 "), "cram-md5", "plain"],
    ids=lambda offered: offered.partition(" ")[0],
)
def offering(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    with Dovecot(request.param) as server:
        yield server


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("right", [True, False], ids=["accepted", "refused"])
def test_S1_a_login_at_dovecot_is_kept_without_its_secret(
    offering: Dovecot, protocol: str, right: bool, user: str
) -> None:
    offering.deliver(user, mail.small(2))
    secret = offering.password if right else PASSWORD
    host, port = "localhost", offering.ports[protocol]
    lines = said(session(protocol, host, port, secret, user=user))
    text = "\n".join(lines)
    assert not leaks(text, secret, user), text
    assert any(REDACTED in line for line in lines if line.startswith("> ")), text
    # no proof from which a password could be guessed
    assert not re.search("[0-9a-f]{32}|p=", text), text
    assert lines[0] == f"- connected to localhost:{port} (127.0.0.1)"
    if right:
        assert "Subject" not in text
        assert any(line.endswith(" bytes]") or " bytes])" in line for line in lines), text


@pytest.mark.parametrize("nonce", ["Zk9p=s", "p=s", "p=sta", "p=localhost"])
def test_a_nonce_is_not_taken_for_a_proof(nonce: str) -> None:
    """A server's nonce is made of any printable characters, and ends where the proof begins."""
    transcript = Transcript()
    proof = base64.b64encode(bytes(range(32))).decode()
    transcript.hide_response(base64.b64encode(f"c=biws,r=abc{nonce},p={proof}".encode()))
    connection = transcript.connection("pop3")
    connection.note("connected to localhost:995 (a stage)")
    connection.received(f"+OK proof {proof}\r\n".encode())
    connected, quoted = said(transcript)
    assert connected == "- connected to localhost:995 (a stage)"
    assert proof[:8] not in quoted, quoted
    assert REDACTED in quoted


def challenged(protocol: str, mechanism: str, challenge: bytes, refusal: bytes) -> Script:
    """A server that asks for more by `mechanism`, then refuses and quotes what it was told."""

    def script(client: Client) -> None:
        greeting, capability = (
            (b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1 AUTH=%s\r\n" % mechanism.encode())
            if protocol == "imap"
            else (b"+OK ready\r\n", multiline(b"SASL " + mechanism.encode()))
        )
        client.send(greeting)
        line = client.line()
        client.send(capability if protocol == "pop3" else capability + tagged(line, b"TAG OK\r\n"))
        line = first = client.line()
        while not line.upper().endswith(b" LOGOUT") and line != b"QUIT":
            if b"AUTH" in line:
                client.send(b"+ " + challenge + b"\r\n")
                line = client.line()
            quoted = b"you said " + line + b" and " + base64.b64decode(line + b"==", validate=False)
            clean = bytes(octet for octet in quoted if octet not in b"\r\n\0")
            client.send(tagged(first, refusal.replace(b"WORDS", clean)))
            line = first = client.line()

    return script


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("mechanism", "token"),
    [
        ("PLAIN", False),
        ("LOGIN", False),
        ("CRAM-MD5", False),
        ("SCRAM-SHA-256", False),
        ("XOAUTH2", True),
        ("OAUTHBEARER", True),
    ],
)
def test_S1_what_a_server_quotes_of_an_exchange_is_not_kept(
    protocol: str, mechanism: str, token: bool
) -> None:
    secret = TOKEN if token else PASSWORD
    refusal = b"TAG NO WORDS\r\n" if protocol == "imap" else b"-ERR WORDS\r\n"
    challenge = base64.b64encode(b"<1896.697170952@postoffice.example>")
    with Scripted(challenged(protocol, mechanism, challenge, refusal)) as server:
        text = "\n".join(said(session(protocol, server.host, server.port, secret, token=token)))
    assert "you said" in text or mechanism == "SCRAM-SHA-256", text
    assert not leaks(text, secret, token=token), text
    for line in server.lines:
        for word in line.split():
            if len(word) > 20:
                assert word.decode() not in text


def shapes(secret: str) -> list[bytes]:
    """Forms of a secret in which a server may quote it."""
    raw = secret.encode()
    return [
        raw,
        raw[3:],
        raw[2:9],
        raw.upper(),
        raw.hex().encode(),
        base64.b64encode(raw),
        base64.b64encode(b"\0user\0" + raw),
        raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"'),
    ]


@pytest.mark.parametrize("password", [PASSWORD, "пароль-Ωμέγα-9"])
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_S1_a_server_that_quotes_the_password_anywhere_does_not_get_it_kept(
    protocol: str, password: str
) -> None:
    echoes = b" ".join(shapes(password))
    if protocol == "imap":
        logged_in = b"* OK [ALERT] " + echoes + b"\r\nTAG OK welcome " + echoes + b"\r\n"
        script: Script = imap(
            {
                "LOGIN": logged_in,
                "LOGIN {": lambda client, line: _take_literals(client, line, logged_in),
                "EXAMINE": b"TAG NO " + echoes + b"\r\n",
            },
            b"* OK hello " + echoes + b"\r\n",
        )
    else:
        table = replies(
            capabilities=[b"USER", b"UIDL", echoes],
            bent={
                b"PASS ": b"+OK " + echoes + b"\r\n",
                b"LIST": b"-ERR " + echoes + b"\r\n",
                b"STAT": b"-ERR " + echoes + b"\r\n",
            },
        )
        script = speak(table, b"+OK hello " + echoes + b"\r\n")
    with Scripted(script) as server:
        text = "\n".join(said(session(protocol, server.host, server.port, password)))
    assert "hello" in text
    assert not leaks(text, password), text


def _take_literals(client: Client, line: bytes, reply: bytes) -> None:
    client.send(b"+ go on\r\n")
    client.line()
    client.send(b"+ go on\r\n")
    client.line()
    client.send(tagged(line, reply))


BANNERS = [
    b"SSH-2.0-OpenSSH_9.2 inner\r\n",
    b"-DENIED inner\r\n",
    b"HTTP/1.1 400 Bad Request\r\nServer: inner\r\n\r\n",
    b"* NO inner\r\n",
    b"220 inner\r\n",
    b"inner\n",
]


@pytest.mark.parametrize("banner", BANNERS, ids=lambda banner: str(banner[:6]))
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_W4_E9_what_something_else_says_is_only_counted(protocol: str, banner: bytes) -> None:
    def script(client: Client) -> None:
        client.send(banner)
        client.wait()

    with Scripted(script) as server:
        lines = said(session(protocol, server.host, server.port, PASSWORD))
    assert not any("inner" in line for line in lines)
    assert any(line.endswith(f" bytes that may not be {protocol.upper()}]") for line in lines)


def test_W4_E9_a_mail_system_is_known_by_its_greeting_or_by_its_answer_to_ours() -> None:
    transcript = Transcript()
    for name, lines in {
        "smtp": [b"220 mx.test ESMTP\r\n", b"250 mx.test\r\n"],
        "lmtp": [b"220 mx.test ready\r\n", b"250 mx.test\r\n", b"503 no\r\n"],
    }.items():
        connection = transcript.connection(name)
        for line in lines:
            connection.received(line)
    elsewhere = transcript.connection("smtp")
    for line in [b"220 inner\r\n", b"500 inner\r\n", b"530 inner\r\n"]:
        elsewhere.received(line)
    assert said(transcript) == [
        "< 220 mx.test ESMTP",
        "< 250 mx.test",
        "< [19 bytes that may not be LMTP]",
        "< 250 mx.test",
        "< 503 no",
        *["< [11 bytes that may not be SMTP]"] * 3,
    ]


def test_M14_what_a_terminal_obeys_is_escaped_and_long_lines_are_cut() -> None:
    words = "\x1b[31mred\x07 \u202eevil ".encode() + b"x" * 7000
    with Scripted(imap({"EXAMINE": b"* OK " + words + b"\r\nTAG NO done\r\n"})) as server:
        lines = said(session("imap", server.host, server.port, PASSWORD))
    [line] = [line for line in lines if "evil" in line]
    assert line.startswith("< * OK \\x1b[31mred\\x07 \\u202eevil xxx")
    assert line.endswith("x…")
    assert len(line) < 320


@pytest.mark.parametrize("octets", [1, 400])
def test_I18_a_flood_of_lines_is_kept_within_bounds(octets: int) -> None:
    flood = b"".join(b"* %d EXISTS %s\r\n" % (n, b"x" * octets) for n in range(5000))
    with Scripted(imap({"EXAMINE": flood + b"TAG NO the end\r\n"})) as server:
        lines = said(session("imap", server.host, server.port, PASSWORD))
    assert len(lines) <= 2 * LINES + 1
    assert sum(len(line) for line in lines) < 2 * OCTETS + 1000
    assert lines[0].startswith("- connected")
    assert any(line.endswith("NO the end") for line in lines[-5:])
    [left_out] = [line for line in lines if line.startswith("… ")]
    assert int(left_out.split()[1]) + len(lines) - 1 > 5000


def test_I1_a_line_of_a_megabyte_is_kept_shortly() -> None:
    long = b"* LIST () " + b"y" * (1 << 20) + b"\r\n"
    with Scripted(imap({"EXAMINE": long + b"TAG NO done\r\n"})) as server:
        transcript = session("imap", server.host, server.port, PASSWORD)
    assert max(map(len, said(transcript))) < 320


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_message_is_only_counted(dovecot: Dovecot, user: str, protocol: str) -> None:
    message = b"Subject: very private\r\n\r\n" + b"secret words\r\n" * 1000
    dovecot.deliver(user, [message])
    ports = dovecot.ports
    transcript = session(protocol, "localhost", ports[protocol], dovecot.password, user=user)
    text = "\n".join(said(transcript))
    assert "private" not in text
    assert "secret words" not in text
    assert "14,0" in text  # 14,0xx bytes, by the protocol's count


def test_a_listing_is_kept_by_its_first_lines_however_it_comes() -> None:
    def slowly(client: Client, line: bytes) -> None:
        for number in range(1, 31):
            client.send(b"* %d FETCH (UID %d RFC822.SIZE 10)\r\n" % (number, number))
            if number > 2:
                client.send(b"* OK still here\r\n" if number == 20 else b"")
        client.send(tagged(line, b"TAG OK done\r\n"))

    with Scripted(imap({"UID FETCH 1:*": slowly, "UID FETCH": b"TAG NO none\r\n"})) as server:
        lines = said(session("imap", server.host, server.port, PASSWORD))
    listed = [line for line in lines if "RFC822.SIZE 10" in line]
    assert 5 <= len(listed) <= 15, lines
    assert any(line.startswith("< [") and line.endswith(" bytes]") for line in lines), lines


def test_lines_are_read_in_another_thread_while_some_are_added() -> None:
    transcript = Transcript()
    connection = transcript.connection("imap")
    connection.received(b"* OK ready")
    over = threading.Event()

    def add() -> None:
        for number in range(20_000):
            connection.received(b"* %d EXISTS" % number)
        over.set()

    writer = threading.Thread(target=add)
    writer.start()
    while not over.is_set():
        lines = list(transcript.lines())
        newest = int(lines[-1].text.split()[1]) if len(lines) > 1 else -1
        assert sum(line.count or 1 for line in lines) == newest + 2
    writer.join()
