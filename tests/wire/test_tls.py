"""Who is let speak TLS with us, and what is said of those who are not."""

from __future__ import annotations

import hashlib
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.model.errors import ConnectionFailed, ProtocolViolation, TlsRefused
from reconciler.wire.connection_limits import Limits
from reconciler.wire.tls import client_context
from tests.servers.scripted import Authority, Client, Scripted, server_context
from tests.wire.conftest import Connect


def greet(client: Client) -> None:
    client.send(b"hello\r\n")
    client.wait()


def test_a_certificate_of_the_declared_ca_for_the_address_is_accepted(
    authority: Authority, connect: Connect
) -> None:
    with Scripted(greet, tls=authority.server()) as server:
        connection = connect(server, "implicit", ca_file=authority.ca_file)
        assert connection.secure
        assert connection.read_line() == b"hello\r\n"


def test_T5_wrong_name_is_refused_and_the_names_it_has_are_told(
    authority: Authority, connect: Connect
) -> None:
    with Scripted(greet, tls=authority.server("mail.example.org", "mx.example.org")) as server:
        with pytest.raises(
            TlsRefused, match=r"is for mail\.example\.org, mx\.example\.org, not for 127\.0\.0\.1"
        ):
            connect(server, "implicit", ca_file=authority.ca_file)
        assert server.lines == []


def test_T5_expired_is_refused(authority: Authority, connect: Connect) -> None:
    expired = authority.server(not_after=datetime.now(UTC) - timedelta(days=1))
    with Scripted(greet, tls=expired) as server, pytest.raises(TlsRefused, match="has expired"):
        connect(server, "implicit", ca_file=authority.ca_file)


def test_T5_unknown_ca_is_refused(authority: Authority, connect: Connect, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other.pem")
    with Scripted(greet, tls=authority.server()) as server:
        with pytest.raises(TlsRefused, match="not known here"):
            connect(server, "implicit", ca_file=other.ca_file)
        with pytest.raises(TlsRefused, match=r"not known here.*caFile"):
            connect(server, "implicit")


def test_a_ca_file_that_cannot_be_read_is_named(connect: Connect, tmp_path: Path) -> None:
    with Scripted(greet) as server, pytest.raises(TlsRefused, match=r"nowhere\.pem"):
        connect(server, "implicit", ca_file=str(tmp_path / "nowhere.pem"))


def test_a_ca_file_that_was_replaced_is_read_again(
    authority: Authority, connect: Connect, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other.pem")
    with Scripted(greet, tls=authority.server()) as server:
        with pytest.raises(TlsRefused):
            connect(server, "implicit", ca_file=other.ca_file)
        Path(other.ca_file).write_bytes(Path(authority.ca_file).read_bytes())
        assert connect(server, "implicit", ca_file=other.ca_file).secure


def test_T6_the_pinned_certificate_is_accepted_and_no_other(
    authority: Authority, connect: Connect
) -> None:
    pinned, changed = authority.issue("elsewhere.example"), authority.issue("elsewhere.example")
    digest = fingerprint(pinned.cert_chain_pems[0].bytes())
    colons = "sha256:" + ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    with Scripted(greet, tls=server_context(pinned)) as server:
        for spelling in (digest, colons):
            connection = connect(server, "implicit", fingerprint=spelling)
            assert connection.read_line() == b"hello\r\n"
    now = fingerprint(changed.cert_chain_pems[0].bytes())
    with Scripted(greet, tls=server_context(changed)) as server:
        with pytest.raises(TlsRefused, match=f"is now sha256:{now}"):
            connect(server, "implicit", fingerprint=digest)
        assert server.lines == []


def fingerprint(pem: bytes) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def test_T8_every_context_verifies() -> None:
    context = client_context(None, None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_context(None, None) is context, "the system's CAs are loaded once"
    pinned = client_context(None, "00" * 32)
    assert pinned.minimum_version is ssl.TLSVersion.TLSv1_2


def test_T8_a_pinned_context_cannot_be_used_without_its_check() -> None:
    with pytest.raises(NotImplementedError):
        client_context(None, "00" * 32).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_T10_tls_older_than_1_2_is_refused(authority: Authority, connect: Connect) -> None:
    old = authority.server()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Scripted(greet, tls=old) as server, pytest.raises(TlsRefused, match=r"older than 1\.2"):
        connect(server, "implicit", ca_file=authority.ca_file)


def test_a_server_without_tls_is_told_from_a_broken_one(connect: Connect) -> None:
    with (
        Scripted(greet) as server,
        pytest.raises(TlsRefused, match=r"does not speak TLS.*starttls"),
    ):
        connect(server, "implicit")


def test_T9_silence_instead_of_the_handshake(connect: Connect) -> None:
    with (
        Scripted(Client.wait) as server,
        pytest.raises(ConnectionFailed, match="no TLS handshake within"),
    ):
        connect(server, "implicit", limits=Limits(connect=0.2))


def test_the_server_closes_during_the_handshake(connect: Connect) -> None:
    with (
        Scripted(lambda client: client.cut()) as server,
        pytest.raises(ConnectionFailed, match="closed"),
    ):
        connect(server, "implicit")


def test_T11_end_without_close_notify_is_a_failure(authority: Authority, connect: Connect) -> None:
    def script(client: Client) -> None:
        client.send(b"half a message")
        client.cut()
        client.wait()

    with Scripted(script, tls=authority.server()) as server:
        connection = connect(server, "implicit", ca_file=authority.ca_file)
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            list(connection.read_chunks(100))
        assert connection.ended


def test_starttls_secures_the_connection(authority: Authority, connect: Connect) -> None:
    def script(client: Client) -> None:
        assert client.line() == b"STLS"
        client.send(b"+OK\r\n")
        client.start_tls(authority.server())
        client.send(client.line() + b"\r\n")
        client.wait()

    with Scripted(script) as server:
        connection = connect(server, "starttls", ca_file=authority.ca_file)
        connection.send(b"STLS\r\n")
        connection.read_line()
        connection.start_tls()
        assert connection.secure
        connection.send(b"back\r\n")
        assert connection.read_line() == b"back\r\n"


def test_T3_bytes_after_the_starttls_reply_close_the_session(connect: Connect) -> None:
    def script(client: Client) -> None:
        client.line()
        client.send(b"+OK\r\n+OK injected\r\n")
        client.wait()

    with Scripted(script) as server:
        connection = connect(server, "starttls")
        connection.send(b"STLS\r\n")
        connection.read_line()
        with pytest.raises(ProtocolViolation, match="before TLS"):
            connection.start_tls()
        assert not connection.secure


def test_T9_silence_after_the_starttls_reply(connect: Connect) -> None:
    with Scripted(Client.wait) as server:
        connection = connect(server, "starttls", limits=Limits(connect=0.2))
        with pytest.raises(ConnectionFailed, match="no TLS handshake within"):
            connection.start_tls()
