"""A connection is bounded in time and bytes, and can be broken off."""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from reconciler.model.errors import ConnectionFailed, ProtocolViolation
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint, Tls
from tests.servers.scripted import Authority, Client, Scripted
from tests.wire.conftest import Connect


def says(*pieces: bytes, tls: ssl.SSLContext | None = None) -> Scripted:
    def script(client: Client) -> None:
        for piece in pieces:
            client.send(piece)
        client.wait()

    return Scripted(script, tls=tls)


def test_lines_come_with_their_ends(connect: Connect) -> None:
    with says(b"one\r\ntw", b"o\r\n\r\n") as server:
        connection = connect(server)
        assert [connection.read_line() for _ in range(3)] == [b"one\r\n", b"two\r\n", b"\r\n"]


def test_what_is_sent_arrives(connect: Connect) -> None:
    def script(client: Client) -> None:
        client.send(client.line()[::-1] + b"\r\n")
        client.wait()

    with Scripted(script) as server:
        connection = connect(server)
        connection.send(b"abc\r\n")
        assert connection.read_line() == b"cba\r\n"


def test_exact_reads_and_lines_mix(connect: Connect) -> None:
    big = bytes(range(256)) * 5000
    with says(b"{5}\r\nab\r\nc)\r\n", big, b")\r\n") as server:
        connection = connect(server)
        assert connection.read_line() == b"{5}\r\n"
        assert connection.read(5) == b"ab\r\nc"
        assert connection.read_line() == b")\r\n"
        assert b"".join(connection.read_chunks(len(big))) == big
        assert connection.read_line() == b")\r\n"
        assert connection.received == len(big) + 16


FRAME = re.compile(rb"\* (\w+) \{(\d+)\}\r\n")


def test_B6_bulk_data_in_tiny_segments_comes_in_pieces_of_some_size(connect: Connect) -> None:
    """Who reads looks at each piece again, and may keep all of them."""

    def dribbles(client: Client) -> None:
        for _ in range(10_000):
            client.send(b"abc")

    with Scripted(dribbles) as server:
        pieces = list(connect(server).read_chunks(30_000))
    assert b"".join(pieces) == b"abc" * 10_000
    assert len(pieces) <= 4


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_frame_and_its_content_are_read_at_once(connect: Connect, step: int) -> None:
    content = bytes(range(256)) * 8
    wire = b"* a {2048}\r\n" + content + b")\r\n* b {0}\r\n)\r\nrest\r\n"
    with says(*(wire[start : start + step] for start in range(0, len(wire), step))) as server:
        connection = connect(server)
        while not FRAME.match(connection.peek(0, 100)):
            connection.fill(bulk=False)
        assert connection.read_framed(FRAME, b")\r\n") == ((b"a", b"2048"), content)
        while not FRAME.match(connection.peek(0, 100)):
            connection.fill(bulk=False)
        assert connection.read_framed(FRAME, b")\r\n") == ((b"b", b"0"), b"")
        assert connection.read_framed(FRAME, b")\r\n") is None
        assert connection.read_line() == b"rest\r\n"


@pytest.mark.parametrize(
    "wire", [b"* a {3}\r\nabc FLAGS ())\r\n", b"* a {262144}\r\nabc", b"other\r\n", b"* a {3"]
)
def test_what_is_framed_otherwise_stays_unread(connect: Connect, wire: bytes) -> None:
    with says(wire) as server:
        connection = connect(server)
        while connection.buffered() < len(wire):
            connection.fill(bulk=True)
        assert connection.read_framed(FRAME, b")\r\n") is None
        assert connection.take(1000) == wire


def test_I18_frames_count_for_the_bound_of_a_reply(connect: Connect) -> None:
    wire = b"* a {3}\r\nabc)\r\n" * 20
    with says(wire) as server:
        connection = connect(server, limits=Limits(reply=100))
        connection.begin_command()
        while connection.buffered() < len(wire):
            connection.fill(bulk=True)
        with pytest.raises(ProtocolViolation, match="a reply is longer than 100 octets"):
            _ = [connection.read_framed(FRAME, b")\r\n") for _ in range(20)]


def test_T11_what_came_before_a_connection_failed_is_read_then_it_fails(
    connect: Connect, authority: Authority
) -> None:
    def script(client: Client) -> None:
        for _ in range(50):
            client.send(b"x" * 1000)
        client.cut()
        client.wait()

    with Scripted(script, tls=authority.server()) as server:
        connection = connect(server, "implicit", ca_file=authority.ca_file)
        assert b"".join(connection.read_chunks(50_000)) == b"x" * 50_000
        with pytest.raises(ConnectionFailed, match="the server closed the connection"):
            connection.fill(bulk=True)


def test_take_gives_what_is_buffered(connect: Connect) -> None:
    with says(b"abcdef") as server:
        connection = connect(server)
        while connection.buffered() < 6:
            connection.fill(bulk=True)
        assert connection.take(4) == b"abcd"
        assert connection.buffered() == 2
        assert connection.take(4) == b"ef"


@pytest.mark.parametrize("size", [70_000, 300_000, 1_000_000])
def test_a_long_line_is_read_up_to_the_limit(connect: Connect, size: int) -> None:
    with says(b"x" * size + b"\r\n") as server:
        assert len(connect(server).read_line(1 << 20)) == size + 2


def test_a_line_has_8_kib_unless_more_is_expected(connect: Connect) -> None:
    with says(b"x" * 8190 + b"\r\n" + b"x" * 8191 + b"\r\n") as server:
        connection = connect(server)
        assert len(connection.read_line()) == 8192
        with pytest.raises(ProtocolViolation, match="longer than 8192 octets"):
            connection.read_line()


@pytest.mark.parametrize("line", [b"x" * 101 + b"\r\n", b"x" * 500_000])
def test_I20_endless_line(connect: Connect, line: bytes) -> None:
    with says(line) as server, pytest.raises(ProtocolViolation, match="longer than 100 octets"):
        connect(server).read_line(100)


@pytest.mark.parametrize("line", [b"lone LF\n", b"lone\rCR\r\n", b"\n", b"a\r\r\n"])
def test_I20_lone_line_ends_before_tls(connect: Connect, line: bytes) -> None:
    with says(line) as server, pytest.raises(ProtocolViolation, match="CRLF"):
        connect(server, "starttls").read_line()


@pytest.mark.parametrize("line", [b"lone\rCR\r\n", b"a\r\r\n", b"\r\r\n"])
def test_I20_a_lone_cr_ends_no_line(connect: Connect, line: bytes) -> None:
    with says(line) as server, pytest.raises(ProtocolViolation, match="CRLF"):
        connect(server).read_line()


@pytest.mark.parametrize("line", [b"a OK lone LF\n", b"\n"])
def test_F23_a_lone_lf_ends_a_line_where_no_tls_is_wanted(connect: Connect, line: bytes) -> None:
    with says(line) as server:
        assert connect(server).read_line() == line[:-1] + b"\r\n"


def test_I18_flood_is_capped_per_command(connect: Connect) -> None:
    with says(b"* noise\r\n" * 100) as server:
        connection = connect(server, limits=Limits(reply=90))
        for _ in range(2):
            connection.begin_command()
            for _ in range(10):
                connection.read_line()
        with pytest.raises(ProtocolViolation, match="longer than 90 octets"):
            connection.read_line()


def test_the_end_of_the_stream_is_a_failure(connect: Connect) -> None:
    with Scripted(lambda client: client.send(b"half")) as server:
        connection = connect(server)
        with pytest.raises(
            ConnectionFailed, match=rf"127\.0\.0\.1:{server.port}: the server closed"
        ):
            connection.read_line()
        assert connection.ended


def test_a_reset_is_a_failure(connect: Connect) -> None:
    def script(client: Client) -> None:
        client.line()
        client.reset()

    with Scripted(script) as server:
        connection = connect(server)
        connection.send(b"x\r\n")
        with pytest.raises(ConnectionFailed, match="closed"):
            connection.read_line()


def test_nobody_listens(connect: Connect) -> None:
    with Scripted(Client.wait) as server:
        pass
    with pytest.raises(ConnectionFailed, match=rf"127\.0\.0\.1:{server.port}: Connection refused"):
        connect(server)


def test_silence_ends_the_wait(connect: Connect) -> None:
    with Scripted(Client.wait) as server:
        connection = connect(server, limits=Limits(silence=0.1))
        with pytest.raises(ConnectionFailed, match="sent nothing"):
            connection.read_line()


def dribble(client: Client) -> None:
    while True:
        client.send(b"x")
        time.sleep(0.01)


def test_I17_slowloris_of_a_reply(connect: Connect) -> None:
    with Scripted(dribble) as server:
        connection = connect(server, limits=Limits(silence=5, command=0.2))
        with pytest.raises(ConnectionFailed, match="did not finish a reply"):
            connection.read_line()


def test_a_listing_has_time_as_long_as_it_moves(connect: Connect) -> None:
    begun = threading.Event()

    def slowly(client: Client) -> None:
        for _ in range(20):
            client.send(b"* 1 FETCH (UID 1 RFC822.SIZE 30)\r\n")
            begun.set()
            time.sleep(0.02)

    with Scripted(slowly) as server:  # each line earns a second
        connection = connect(server, limits=Limits(silence=5, command=0.1, listing_rate=30))
        assert begun.wait(60)
        connection.expect_listing()
        assert [connection.read_line() for _ in range(20)]
    with Scripted(dribble) as server:
        connection = connect(server, limits=Limits(silence=5, command=0.1, listing_rate=1000))
        connection.expect_listing()
        with pytest.raises(ConnectionFailed, match="did not finish a reply"):
            connection.read_line()


def test_a_longer_silence_may_be_waited_out() -> None:
    assert (Limits.with_silence(120.0).silence, Limits.with_silence(120.0).command) == (
        120.0,
        360.0,
    )
    assert Limits.with_silence(60.0) == Limits()


def test_I17_slowloris_of_bulk_data(connect: Connect) -> None:
    with Scripted(dribble) as server:
        connection = connect(server, limits=Limits(silence=1, minimum_rate=1000))
        with pytest.raises(ConnectionFailed, match="fewer than 1000 octets a second"):
            list(connection.read_chunks(1_000_000))


def test_I17_the_session_has_a_deadline(connect: Connect) -> None:
    with Scripted(dribble) as server:
        connection = connect(server, deadline=time.monotonic() + 0.2)
        with pytest.raises(ConnectionFailed, match="time is up"):
            connection.read_line()


def test_a_slow_reader_is_not_held_against_the_server(connect: Connect) -> None:
    sent = threading.Event()

    def script(client: Client) -> None:
        client.send(b"x" * 100_000)
        sent.set()
        client.wait()

    with Scripted(script) as server:
        connection = connect(server, limits=Limits(silence=0.2, command=0.2))
        assert sent.wait(60)
        chunks = connection.read_chunks(100_000)
        size = len(next(chunks))
        time.sleep(0.3)
        assert size + sum(map(len, chunks)) == 100_000


@pytest.mark.parametrize("tls", ["none", "implicit"])
def test_abort_wakes_the_waiting_thread(authority: Authority, tls: Tls) -> None:
    context = authority.server() if tls == "implicit" else None
    with says(b"x", tls=context) as server:
        connection = Connection(
            Endpoint(server.host, server.port, tls, authority.ca_file), Limits()
        )
        connection_open, failed = threading.Event(), []

        def read() -> None:
            connection.open()
            connection.read(1)
            connection_open.set()
            try:
                connection.read_line()
            except ConnectionFailed as error:
                failed.append(str(error))

        reader = threading.Thread(target=read)
        reader.start()
        assert connection_open.wait(60)
        connection.abort()
        reader.join(10)
        assert not reader.is_alive()
        assert "aborted" in failed[0]
        connection.abort()  # harmless


def test_after_an_abort_nothing_is_read_without_tls(authority: Authority) -> None:
    """What had come already is still there: encrypted, and so not to be taken for the server's."""

    def script(client: Client) -> None:
        client.send(b"x")
        client.send(b"more\r\n")
        client.wait()

    with Scripted(script, tls=authority.server()) as server:
        connection = Connection(
            Endpoint(server.host, server.port, "implicit", authority.ca_file), Limits()
        )
        connection.open()
        connection.read(1)
        assert select.select([connection.socket], [], [], 10)[0]
        other = threading.Thread(target=connection.abort)
        other.start()
        other.join()
        with suppress(ConnectionFailed):
            assert connection.read_line() == b"more\r\n"
        assert connection.received in (len(b"x"), len(b"xmore\r\n"))
        connection.close()


def test_abort_before_opening(connect: Connect) -> None:
    with Scripted(Client.wait) as server:
        connection = Connection(Endpoint(server.host, server.port, "none"), Limits())
        connection.abort()
        with pytest.raises(ConnectionFailed, match="aborted"):
            connection.open()
        connection.close()


# Name lookup


def resolve(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], list[str]]) -> None:
    """Names are resolved by `answer`, addresses as ever."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: int, **options: int) -> object:
        literals = answer(host) if host.endswith(".test") else [host]
        return [found for literal in literals for found in real(literal, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def hang(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A resolver that answers only when the event is set, except for `alive.test`."""
    released = threading.Event()

    def answer(host: str) -> list[str]:
        if host != "alive.test":
            released.wait(20)
            raise socket.gaierror(-2, "Name or service not known")
        return ["127.0.0.1"]

    resolve(monkeypatch, answer)
    return released


def test_R3_a_dead_resolver_is_bounded_and_holds_up_nobody_else(
    monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    released = hang(monkeypatch)
    with says(b"hello\r\n") as server:
        for _ in range(3):
            with pytest.raises(
                ConnectionFailed, match=r"dead\.test:\d+: the name was not resolved"
            ):
                connect(server, host="dead.test", limits=Limits(connect=0.05))
        assert sum("dead.test" in thread.name for thread in threading.enumerate()) == 1
        assert connect(server, host="alive.test").read_line() == b"hello\r\n"
    released.set()


def test_R3_abort_ends_a_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    released = hang(monkeypatch)
    connection = Connection(Endpoint("dead.test", 110, "none"), Limits())
    threading.Timer(0.05, connection.abort).start()
    with pytest.raises(ConnectionFailed, match="aborted"):
        connection.open()
    released.set()


def test_a_name_that_does_not_exist(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    hang(monkeypatch).set()
    with (
        Scripted(Client.wait) as server,
        pytest.raises(ConnectionFailed, match="cannot be resolved: Name or service"),
    ):
        connect(server, host="nowhere.test")


def test_the_next_address_is_tried(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, lambda _: ["127.0.0.9", "127.0.0.1"])
    with says(b"hello\r\n") as server:
        assert connect(server, host="two.test").read_line() == b"hello\r\n"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("imap.почта.рф", "imap.xn--80a1acny.xn--p1ai"),
        ("IMAP.Example.ORG.", "imap.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("mail_server", "mail_server"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_names_in_any_script(host: str, name: str) -> None:
    assert Endpoint(host, 110, "none").tls_name == name


@pytest.mark.parametrize("host", ["a..b", ".a", "x" * 64 + ".example", "a\u0000b", "-.рф", "…"])
def test_what_is_no_name(host: str) -> None:
    with pytest.raises(ConnectionFailed, match="not a domain name"):
        _ = Endpoint(host, 110, "none").ascii_host
