"""From the greeting to the login: what is refused, why, and that nothing is sent that need not
be."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    ConnectionFailed,
    NoGreeting,
    ProtocolViolation,
    SourceError,
    SourceUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    PASSWORD,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
)

NO_SASL = (b"USER", b"UIDL", b"PIPELINING")


def refusal(server: Scripted) -> SourceError:
    """What listing raises."""
    source = source_of(server)
    with pytest.raises(SourceError) as caught:
        listing_of(source)
    source.abort()
    return caught.value


def test_sasl_plain_is_used_where_it_is_offered() -> None:
    with Scripted(speak(replies())) as server:
        source = source_of(server, username="пример@почта.рф", password="пароль")
        listing_of(source)
        source.finish()
    response = base64.b64encode("\0пример@почта.рф\0пароль".encode())
    assert server.lines == [b"CAPA", b"AUTH PLAIN " + response, b"CAPA", b"LIST", b"UIDL", b"QUIT"]


def test_a_response_too_long_for_a_command_follows_the_challenge() -> None:
    password = "x" * 300
    with Scripted(speak(replies(bent={b"AUTH PLAIN": b"+ \r\n", b"AHVz": b"+OK\r\n"}))) as server:
        source = source_of(server, password=password)
        listing_of(source)
        source.finish()
    assert server.lines[1:3] == [b"AUTH PLAIN", base64.b64encode(b"\0user\0" + password.encode())]


def test_user_and_pass_without_sasl() -> None:
    with Scripted(speak(replies(capabilities=NO_SASL))) as server:
        source = source_of(server, username="имя")
        listing_of(source)
        source.finish()
    assert server.lines[1:3] == ["USER имя".encode(), b"PASS " + PASSWORD.encode()]


def test_a_server_without_capa_is_talked_to_step_by_step() -> None:
    with Scripted(speak(replies(bent={b"CAPA": b"-ERR what?\r\n"}))) as server:
        source = source_of(server)
        listing_of(source)
        source.finish()
    assert server.lines == [
        b"CAPA",
        b"USER user",
        b"PASS " + PASSWORD.encode(),
        b"CAPA",
        b"LIST",
        b"UIDL",
        b"QUIT",
    ]


def test_P12_utf8_goes_before_the_login() -> None:
    with Scripted(
        speak(replies(capabilities=(*NO_SASL, b"UTF8 USER"), bent={b"UTF8": b"+OK\r\n"}))
    ) as server:
        source = source_of(server)
        listing_of(source)
        source.finish()
    assert server.lines[1:3] == [b"UTF8", b"USER user"]


def test_P12_a_refused_utf8_is_no_failure() -> None:
    with Scripted(
        speak(replies(capabilities=(*NO_SASL, b"UTF8"), bent={b"UTF8": b"-ERR no\r\n"}))
    ) as server:
        source = source_of(server)
        listing_of(source)
        source.finish()


def test_P16_closed_without_a_greeting_is_told_apart() -> None:
    with Scripted(lambda client: None) as server:
        error = refusal(server)
    assert isinstance(error, NoGreeting)
    assert "before its greeting" in str(error)


def test_P16_reset_without_a_greeting_is_told_apart() -> None:
    with Scripted(lambda client: client.reset()) as server:
        assert isinstance(refusal(server), NoGreeting)


def test_P16_a_greeting_that_refuses_is_throttling() -> None:
    with Scripted(lambda client: client.send(b"-ERR too many connections\r\n")) as server:
        error = refusal(server)
    assert isinstance(error, Throttled)
    assert "too many connections" in str(error)


def test_what_is_no_pop3_server_is_said_to_be_none() -> None:
    with Scripted(lambda client: client.send(b"* OK IMAP4rev1\r\n")) as server:
        error = refusal(server)
    assert isinstance(error, ProtocolViolation)
    assert "does not answer as POP3 does" in str(error)


@pytest.mark.parametrize(
    ("reply", "kind", "certain"),
    [
        (b"-ERR [AUTH] bad password", AuthenticationFailed, True),
        (b"-ERR bad password", AuthenticationFailed, False),
        (b"-ERR", AuthenticationFailed, False),
        (b"-ERR [IN-USE] locked", Throttled, None),
        (b"-ERR [in-use] locked", Throttled, None),
        (b"-ERR [SYS/TEMP] later", SourceUnavailable, None),
        (b"-ERR [LOGIN-DELAY] later", Throttled, None),
        (b"-ERR [SYS/PERM] mailbox broken", SourceUnsuitable, None),
    ],
)
@pytest.mark.parametrize("capabilities", [CAPABILITIES, NO_SASL])
def test_P11_refusals_are_told_apart(
    reply: bytes, kind: type[SourceError], certain: bool | None, capabilities: tuple[bytes, ...]
) -> None:
    bent = {b"AUTH PLAIN ": reply + b"\r\n", b"PASS ": reply + b"\r\n"}
    with Scripted(speak(replies(capabilities=capabilities, bent=bent))) as server:
        error = refusal(server)
        assert type(error) is kind
        assert getattr(error, "certain", None) is certain
        assert not [line for line in server.lines if line.startswith(b"LIST")]
        tried = [line.split()[0] for line in server.lines if line.startswith((b"AUTH", b"PASS"))]
        ways = (
            [b"AUTH", b"PASS"]
            if capabilities is CAPABILITIES and kind is AuthenticationFailed
            else tried[:1]
        )
        assert tried == ways, "each way once, and only where it is the password that is refused"


def test_what_a_server_says_of_its_system_is_for_people() -> None:
    """RFC 3206: SYS/TEMP and SYS/PERM."""
    bent = {
        b"USER ": b"-ERR [sys/perm] the mail\x1bbox of %b\r\n" % PASSWORD.encode(),
        b"AUTH PLAIN ": b"-ERR no\r\n",
    }
    with Scripted(speak(replies(capabilities=NO_SASL, bent=bent))) as server:
        opened = source_of(server)
        with pytest.raises(SourceError):
            listing_of(opened)
        opened.abort()
    assert opened.alerts == ["[sys/perm] the mail?box of [redacted]"]


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [(b"[LOGIN-DELAY 120] wait", 120), (b"[LOGIN-DELAY] wait", 300), (b"[IN-USE] wait", None)],
)
def test_P11_login_delay_tells_how_long(reply: bytes, seconds: float | None) -> None:
    capabilities = (*NO_SASL, b"LOGIN-DELAY 300 USER")
    table = replies(capabilities=capabilities, bent={b"PASS ": b"-ERR " + reply + b"\r\n"})
    with Scripted(speak(table)) as server:
        error = refusal(server)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


def test_P11_a_refused_user_is_not_followed_by_the_password() -> None:
    with Scripted(speak(replies(capabilities=NO_SASL, bent={b"USER ": b"-ERR no\r\n"}))) as server:
        assert isinstance(refusal(server), AuthenticationFailed)
        assert not [line for line in server.lines if line.startswith(b"PASS")]


def test_T12_no_mechanism_of_ours_is_offered() -> None:
    with Scripted(speak(replies(capabilities=(b"SASL GSSAPI", b"UIDL")))) as server:
        error = refusal(server)
        assert isinstance(error, SourceUnsuitable)
        assert "source.tls" in str(error)
        assert server.lines == [b"CAPA"]


def test_S1_an_echoed_password_is_redacted() -> None:
    def echo(line: bytes) -> bytes:
        return b"-ERR unknown: " + line + b" " + PASSWORD.encode() + b"\x1b[31m\r\n"

    for capabilities in (CAPABILITIES, NO_SASL):
        with Scripted(
            speak(replies(capabilities=capabilities, bent={b"AUTH PLAIN ": echo, b"PASS ": echo}))
        ) as server:
            text = str(refusal(server))
        assert "unknown: " in text
        assert PASSWORD not in text
        assert base64.b64encode(f"\0user\0{PASSWORD}".encode()).decode() not in text
        assert "\x1b" not in text


def test_hazard_3_a_line_end_in_the_password_never_reaches_the_wire() -> None:
    with Scripted(speak(replies())) as server:
        with pytest.raises(SourceUnsuitable):
            listing_of(source_of(server, password="x\r\nDELE 1"))
        assert server.connections == 0


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def upgrade(authority: Authority, after: bytes = b"+OK ready\r\n") -> tuple[list[int], Scripted]:
    """A server with STLS; the list tells how many lines came in the clear."""
    clear: list[int] = []

    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        for reply in (multiline(b"STLS", b"USER", b"SASL PLAIN GSSAPI"), after):
            client.line()
            client.send(reply)
        clear.append(len(server.lines))
        client.start_tls(authority.server())
        client.answer(replies(capabilities=NO_SASL))
        client.wait()

    server = Scripted(script)
    return clear, server


def test_after_stls_capabilities_are_asked_again_and_only_those_count(authority: Authority) -> None:
    clear, server = upgrade(authority)
    with server:
        source = source_of(server, tls="starttls", ca_file=authority.ca_file)
        listing_of(source)
        source.finish()
    assert clear == [2]
    assert server.lines[:5] == [
        b"CAPA",
        b"STLS",
        b"CAPA",
        b"USER user",
        b"PASS " + PASSWORD.encode(),
    ]


def test_T3_bytes_after_the_stls_reply_end_the_session(authority: Authority) -> None:
    _, server = upgrade(authority, after=b"+OK begin\r\n+OK injected\r\n")
    with server:
        source = source_of(server, tls="starttls", ca_file=authority.ca_file)
        with pytest.raises(ProtocolViolation, match="before TLS"):
            listing_of(source)
        source.abort()
    assert server.lines == [b"CAPA", b"STLS"]


@pytest.mark.parametrize(
    "bent",
    [{}, {b"CAPA": b"-ERR what?\r\n"}, {b"CAPA": multiline(b"STLS"), b"STLS": b"-ERR no\r\n"}],
)
def test_T1_stls_not_offered_or_refused(bent: dict[bytes, bytes]) -> None:
    with Scripted(speak(replies(bent=bent))) as server:
        source = source_of(server, tls="starttls")
        with pytest.raises(TlsRefused, match="STLS"):
            listing_of(source)
        source.abort()
        assert [line for line in server.lines if line not in {b"CAPA", b"STLS"}] == []


def test_T5_over_stls_a_wrong_name_stops_before_the_credentials(authority: Authority) -> None:
    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        for reply in (multiline(b"STLS"), b"+OK\r\n"):
            client.line()
            client.send(reply)
        client.start_tls(authority.server("mail.example.org"))
        client.wait()

    with Scripted(script) as server:
        source = source_of(server, tls="starttls", ca_file=authority.ca_file)
        with pytest.raises(TlsRefused, match=r"not for 127\.0\.0\.1"):
            listing_of(source)
        source.abort()
        assert server.lines == [b"CAPA", b"STLS"]


def test_a_silent_server_is_left(authority: Authority) -> None:
    with Scripted(Client.wait) as server:
        source = source_of(server, limits=Limits(silence=0.1))
        with pytest.raises(ConnectionFailed, match="sent nothing"):
            listing_of(source)
        source.abort()


@pytest.mark.parametrize(
    ("phase", "words", "kind"),
    [
        ("greeting", "Too many connections from your IP", Throttled),
        ("PASS ", "Exceeded the login limit for a 15 minute period", Throttled),
        ("PASS ", "[SYS/PERM] Your account is not enabled for POP access", AccountNotReady),
        ("PASS ", "登录太频繁", Throttled),
        ("LIST", "Request is throttled. Suggested Backoff Time: 299961 milliseconds", Throttled),
        ("UIDL", "maildrop already locked by another session", Throttled),
        ("LIST", "Server error: Failed to fetch messages in Inbox.", SourceUnavailable),
    ],
)
@pytest.mark.parametrize("sign", [b"-ERR ", b"+ERR "])
def test_F14_words_without_a_code_are_understood_in_every_phase(
    phase: str, words: str, kind: type[SourceError], sign: bytes
) -> None:
    said = sign + words.encode("gbk") + b"\r\n"
    table = replies(
        capabilities=NO_SASL, bent={} if phase == "greeting" else {phase.encode(): said}
    )
    with Scripted(speak(table, said) if phase == "greeting" else speak(table)) as server:
        error = refusal(server)
    assert type(error) is kind
    assert words in str(error)
    assert error.advice
