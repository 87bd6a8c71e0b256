"""From the greeting to the login, with servers that attack, refuse, or hang."""

from __future__ import annotations

import base64
import logging
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
from reconciler.sources.imap.imap_refusals import response_code
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.imap_server import (
    GREETING,
    PASSWORD,
    Reply,
    imap,
    inbox,
    source,
    source_at,
    tagged,
)

STARTTLS = b"* CAPABILITY IMAP4rev1 STARTTLS\r\nTAG OK done\r\n"
PLAIN = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\nTAG OK done\r\n"


def refused(
    server: Scripted, kind: type[SourceError], limits: Limits | None = None, **declared: str
) -> str:
    """The text of the error that listing ends with; no credentials have gone out in it."""
    opened = source(server, limits, **declared)
    with pytest.raises(kind) as failure:
        inbox(opened)
    opened.abort()
    assert type(failure.value) is kind
    return str(failure.value)


def sent_credentials(server: Scripted) -> bool:
    return any(b"LOGIN" in line or b"AUTHENTICATE" in line for line in server.lines)


# TLS


def test_T1_starttls_not_offered() -> None:
    with Scripted(imap()) as server:
        assert "does not offer STARTTLS" in refused(server, TlsRefused, tls="starttls")
        assert not sent_credentials(server)


def test_T1_starttls_refused() -> None:
    with Scripted(imap({"CAPABILITY": STARTTLS, "STARTTLS": b"TAG NO not today\r\n"})) as server:
        assert "refuses STARTTLS" in refused(server, TlsRefused, tls="starttls")
        assert not sent_credentials(server)


def test_T2_preauth_while_tls_is_required() -> None:
    with Scripted(imap({"CAPABILITY": STARTTLS}, greeting=b"* PREAUTH welcome\r\n")) as server:
        assert "PREAUTH" in refused(server, TlsRefused, tls="starttls")
        assert not sent_credentials(server)


def test_T3_bytes_behind_the_reply_to_starttls() -> None:
    injected = b"TAG OK go on\r\n* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n"
    with Scripted(imap({"CAPABILITY": STARTTLS, "STARTTLS": injected})) as server:
        assert "before TLS" in refused(server, ProtocolViolation, tls="starttls")
        assert not sent_credentials(server)


def test_T4_L4_what_was_said_before_tls_is_forgotten(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def start_tls(client: Client, line: bytes) -> None:
        client.send(
            tagged(line, b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n* SEARCH 1\r\nTAG OK go on\r\n")
        )
        client.start_tls(authority.server())

    replies: dict[str, Reply] = {"CAPABILITY": STARTTLS, "STARTTLS": start_tls}
    with Scripted(imap(replies)) as server:
        opened = source(server, tls="starttls", caFile=authority.ca_file)
        assert len(inbox(opened).messages) == 3
        opened.finish()


def test_I29_capabilities_are_asked_again_after_starttls_and_after_login(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def start_tls(client: Client, line: bytes) -> None:
        client.send(tagged(line, b"TAG OK go on\r\n"))
        client.start_tls(authority.server())

    capabilities = [
        b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nTAG OK done\r\n",
        PLAIN,
        b"* CAPABILITY IMAP4rev1 LOGINDISABLED NAMESPACE\r\nTAG OK done\r\n",
    ]
    script = imap(
        {"CAPABILITY": capabilities, "STARTTLS": start_tls, "AUTHENTICATE": b"TAG OK hello\r\n"}
    )
    with Scripted(script) as server:
        opened = source(server, tls="starttls", caFile=authority.ca_file)
        assert len(inbox(opened).messages) == 3
        opened.finish()
        assert sum(b"CAPABILITY" in line for line in server.lines) == 3
        assert not any(b" LOGIN " in line for line in server.lines)


@pytest.mark.parametrize(
    ("greeting", "asked"),
    [
        (b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n", 0),
        (b"* OK [CAPABILITY SASL-IR] ready\r\n", 1),
    ],
)
def test_I29_capabilities_told_in_the_greeting_are_believed_if_they_can_be(
    greeting: bytes, asked: int
) -> None:
    told = b"TAG OK [CAPABILITY IMAP4rev1] hello\r\n"
    with Scripted(imap({"CAPABILITY": PLAIN, "AUTHENTICATE": told}, greeting=greeting)) as server:
        opened = source(server)
        inbox(opened)
        opened.finish()
        assert sum(b"CAPABILITY" in line for line in server.lines) == asked


def test_I29_capabilities_told_with_the_login_are_believed() -> None:
    script = imap(
        {"CAPABILITY": PLAIN, "AUTHENTICATE": b"TAG OK [CAPABILITY IMAP4rev1 UIDPLUS] hello\r\n"}
    )
    with Scripted(script) as server:
        opened = source(server)
        assert len(inbox(opened).messages) == 3
        opened.finish()
        assert sum(b"CAPABILITY" in line for line in server.lines) == 1


def test_T9_L7_silence_after_the_reply_to_starttls() -> None:
    def start_tls(client: Client, line: bytes) -> None:
        client.send(tagged(line, b"TAG OK go on\r\n"))
        client.wait()

    with Scripted(imap({"CAPABILITY": STARTTLS, "STARTTLS": start_tls})) as server:
        assert "TLS handshake" in refused(
            server, ConnectionFailed, Limits(connect=0.3), tls="starttls"
        )


def test_T12_logindisabled_is_obeyed() -> None:
    offered = b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN STARTTLS\r\nTAG OK done\r\n"
    with Scripted(imap({"CAPABILITY": offered})) as server:
        assert "LOGINDISABLED" in refused(server, TlsRefused)
        assert not sent_credentials(server)


@pytest.mark.parametrize(
    "text", ["[192.0.2.1] ready", "ready] steady", "[a] [b] [c]", "", "[", "]"]
)
def test_T12_a_response_code_ends_at_its_first_bracket(text: str) -> None:
    """UW imapd puts an address that has no name in brackets: LOGINDISABLED went unseen, the
    password was sent."""
    greeting = f"* OK [CAPABILITY IMAP4REV1 STARTTLS LOGINDISABLED] {text}\r\n".encode()
    with Scripted(imap(greeting=greeting)) as server:
        assert "LOGINDISABLED" in refused(server, TlsRefused)
        assert not sent_credentials(server)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[UNAVAILABLE] gone [AUTHENTICATIONFAILED]", "UNAVAILABLE"),
        ("[ALERT] see https://[::1]/", "ALERT"),
        ("[BADCHARSET (UTF-8)] no", "BADCHARSET"),
        ("[A" * 1000, None),
        ("[AUTH", None),
        ("no code", None),
        ("", None),
    ],
)
def test_the_code_of_a_refusal(text: str, code: str | None) -> None:
    assert response_code(text) == code


# Credentials


def test_plain_with_its_initial_response_in_utf8() -> None:
    script = imap({"CAPABILITY": PLAIN, "AUTHENTICATE PLAIN": b"TAG OK hello\r\n"})
    with Scripted(script) as server:
        opened = source_at(server.host, server.port, "пароль", tls="none", username="имя")
        inbox(opened)
        opened.finish()
        [login] = [line for line in server.lines if b"AUTHENTICATE" in line]
        assert base64.b64decode(login.split()[-1]).decode() == "\0имя\0пароль"


def test_plain_without_an_initial_response() -> None:
    answers: list[bytes] = []

    def authenticate(client: Client, line: bytes) -> None:
        client.send(b"+ \r\n")
        answers.append(client.line())
        client.send(tagged(line, b"TAG OK hello\r\n"))

    offered = PLAIN.replace(b" SASL-IR", b"")
    with Scripted(imap({"CAPABILITY": offered, "AUTHENTICATE PLAIN": authenticate})) as server:
        opened = source(server)
        inbox(opened)
        opened.finish()
    assert base64.b64decode(answers[0]).decode() == f"\0user\0{PASSWORD}"


def test_login_quotes_what_needs_it() -> None:
    with Scripted(imap()) as server:
        opened = source_at(server.host, server.port, 'a"b\\c d', tls="none", username="user name")
        inbox(opened)
        opened.finish()
        assert any(line.endswith(rb'LOGIN "user name" "a\"b\\c d"') for line in server.lines)


def test_login_sends_other_scripts_as_literals() -> None:
    taken: list[bytes] = []

    def login(client: Client, line: bytes) -> None:
        for _ in range(2):
            client.send(b"+ go on\r\n")
            taken.append(client.line())
        client.send(tagged(line, b"TAG OK hello\r\n"))

    with Scripted(imap({"LOGIN": login})) as server:
        opened = source_at(server.host, server.port, "пароль", tls="none", username="имя")
        inbox(opened)
        opened.finish()
        assert any(line.endswith(b"LOGIN {6}") for line in server.lines)
    assert taken == ["имя".encode() + b" {12}", "пароль".encode()]


def test_a_server_that_never_stops_asking() -> None:
    def authenticate(client: Client, line: bytes) -> None:
        while True:
            client.send(b"+ more\r\n")
            client.line()

    with Scripted(
        imap({"CAPABILITY": PLAIN.replace(b" SASL-IR", b""), "AUTHENTICATE": authenticate})
    ) as server:
        refused(server, ProtocolViolation)


@pytest.mark.parametrize(
    ("username", "password"), [("user", "a\r\nLOGOUT"), ("user", "nul\0"), ("us\ner", "word")]
)
def test_line_ends_in_credentials_never_reach_the_wire(username: str, password: str) -> None:
    with Scripted(imap()) as server:
        opened = source_at(server.host, server.port, password, tls="none")
        if username != "user":
            with pytest.raises(ValueError, match="username"):
                source_at(server.host, server.port, password, tls="none", username=username)
            return
        with pytest.raises(SourceUnsuitable):
            inbox(opened)
        opened.abort()
        assert server.connections == 0


def test_a_login_in_advance_needs_no_password() -> None:
    with Scripted(imap(greeting=b"* PREAUTH hello\r\n")) as server:
        opened = source(server)
        assert len(inbox(opened).messages) == 3
        opened.finish()
        assert not sent_credentials(server)


# Refusals


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"NO [AUTHENTICATIONFAILED] no", AuthenticationFailed),
        (b"NO [AUTHORIZATIONFAILED] no", AuthenticationFailed),
        (b"NO [EXPIRED] password too old", AuthenticationFailed),
        (b"NO LOGIN failed", AuthenticationFailed),
        (b"BAD what?", AuthenticationFailed),
        (b"NO [PRIVACYREQUIRED] no", TlsRefused),
        (b"NO [CONTACTADMIN] no", AccountNotReady),
        (b"NO [ALERT] Too many simultaneous connections. (Failure)", Throttled),
    ],
)
def test_a_refused_login_says_why(reply: bytes, kind: type[SourceError]) -> None:
    with Scripted(imap({"LOGIN": b"TAG " + reply + b"\r\n"})) as server:
        refused(server, kind)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INUSE", Throttled),
        ("LIMIT", Throttled),
        ("OVERQUOTA", Throttled),
        ("UNAVAILABLE", SourceUnavailable),
    ],
)
@pytest.mark.parametrize("command", ["LOGIN", "EXAMINE", "UID FETCH"])
def test_I27_not_now_is_no_refused_password(
    code: str, kind: type[SourceError], command: str
) -> None:
    replies: dict[str, Reply] = {command: f"TAG NO [{code}] come back later\r\n".encode()}
    if command == "UID FETCH":
        replies["UID FETCH 1:*"] = replies[command]
    with Scripted(imap(replies)) as server:
        assert "come back later" in refused(server, kind)


def test_refusals_without_a_code_are_not_certain() -> None:
    with Scripted(imap({"LOGIN": b"TAG NO failed\r\n"})) as server:
        opened = source(server)
        with pytest.raises(AuthenticationFailed) as failure:
            inbox(opened)
        opened.abort()
        assert not failure.value.certain


def test_S1_a_password_that_the_server_echoes_is_redacted() -> None:
    def login(client: Client, line: bytes) -> None:
        client.send(tagged(line, b"TAG NO I cannot take " + line + b" \x1b[31m from you\r\n"))

    ways: list[dict[str, Reply]] = [
        {"LOGIN": login},
        {"CAPABILITY": PLAIN, "AUTHENTICATE": login, "LOGIN": login},
    ]
    for replies in ways:
        with Scripted(imap(replies)) as server:
            text = refused(server, AuthenticationFailed)
        assert "[redacted]" in text
        assert PASSWORD not in text
        assert base64.b64encode(f"\0user\0{PASSWORD}".encode()).decode() not in text
        assert text.isprintable()


def test_S6_no_log_carries_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for capability in (PLAIN, PLAIN.replace(b" SASL-IR", b"").replace(b" AUTH=PLAIN", b"")):
        with Scripted(
            imap({"CAPABILITY": capability, "AUTHENTICATE": b"TAG OK hello\r\n"})
        ) as server:
            opened = source(server)
            inbox(opened)
            opened.finish()
    assert PASSWORD not in caplog.text
    assert base64.b64encode(f"\0user\0{PASSWORD}".encode()).decode() not in caplog.text


# Greetings


def test_goodbye_for_a_greeting_is_throttling() -> None:
    with Scripted(imap(greeting=b"* BYE too many connections from you\r\n")) as server:
        assert "too many connections" in refused(server, Throttled)


def test_goodbye_behind_the_greeting_is_throttling() -> None:
    with Scripted(imap({"CAPABILITY": b"* BYE too many connections from you\r\n"})) as server:
        assert "too many connections" in refused(server, Throttled)


@pytest.mark.parametrize(
    "capability",
    [
        b"TAG OK nothing\r\n",
        b"TAG BAD what?\r\n",
        b"* CAPABILITY \xff\xfe\r\nTAG OK done\r\n",
        b"* CAPABILITY {5}\r\nhello\r\nTAG OK done\r\n",
        b"* CAPABILITY {" + b"9" * 5000 + b"}\r\n",
        b"* CAPABILITY {6000000000}\r\n",
    ],
)
def test_capabilities_that_cannot_be_read(capability: bytes) -> None:
    with Scripted(imap({"CAPABILITY": capability})) as server:
        refused(server, ProtocolViolation)
        assert not sent_credentials(server)


def test_no_greeting_at_all_is_told_apart() -> None:
    with Scripted(lambda client: client.close()) as server:
        assert "without a greeting" in refused(server, NoGreeting)


@pytest.mark.parametrize(
    "greeting",
    [
        b"220 smtp.example.org ESMTP\r\n",
        b"* NO\r\n",
        b"* OK no line end",
        b"\0\xff\r\n",
    ],
)
def test_I20_a_greeting_that_is_none(greeting: bytes) -> None:
    def script(client: Client) -> None:
        client.send(greeting)

    with Scripted(script) as server:
        opened = source(server)
        with pytest.raises(SourceError):
            inbox(opened)
        opened.abort()


def test_I19_a_server_that_hangs_after_login() -> None:
    with Scripted(
        imap({"LOGIN": b"TAG OK done\r\n", "EXAMINE": lambda client, _: client.wait()})
    ) as server:
        assert "0 s" in refused(server, ConnectionFailed, Limits(silence=0.3))


def test_I21_an_answer_with_another_tag() -> None:
    with Scripted(imap({"LOGIN": b"XYZ1 OK done\r\n"})) as server:
        refused(server, ProtocolViolation)


def test_abort_from_another_thread_ends_the_wait() -> None:
    def hang(client: Client, _: bytes) -> None:
        threading_abort()
        client.wait()

    with Scripted(imap({"EXAMINE": hang}, greeting=GREETING)) as server:
        opened = source(server)
        threading_abort = opened.abort  # the script runs in a thread of its own
        with pytest.raises(ConnectionFailed, match="aborted"):
            inbox(opened)
        opened.abort()
        opened.finish()


# Words (`replies.sourced_replies`) in every phase; an alert is for people


@pytest.mark.parametrize("phase", ["greeting", "LOGIN", "EXAMINE", "UID FETCH 1:*", "bye"])
@pytest.mark.parametrize("status", ["NO", "BAD"])
def test_F6_throttling_in_words_is_throttling_for_the_time_that_is_named(
    phase: str, status: str
) -> None:
    words = "Request is throttled. Suggested Backoff Time: 299961 milliseconds"
    replies: dict[str, Reply] = (
        {}
        if phase == "greeting"
        else {"LOGIN": f"* BYE {words}\r\n".encode()}
        if phase == "bye"
        else {phase: f"TAG {status} {words}\r\n".encode()}
    )
    greeting = f"* BYE {words}\r\n".encode() if phase == "greeting" else b"* OK ready\r\n"
    with Scripted(imap(replies, greeting)) as server:
        opened = source(server)
        with pytest.raises(Throttled, match="It asks to wait 5 minutes") as failure:
            inbox(opened)
        opened.abort()
    assert failure.value.retry_after == pytest.approx(299.961)


@pytest.mark.parametrize(
    "words",
    [
        "BAD User is authenticated but not connected.",
        "NO Server Unavailable. 15",
        "NO [SERVERBUG] Internal error occurred",
        "NO [UNAVAILABLE] x",
    ],
)
def test_F7_an_account_that_cannot_be_opened_is_no_wrong_folder(words: str) -> None:
    with Scripted(imap({"EXAMINE": f"TAG {words}\r\n".encode()})) as server:
        assert "source.folders" not in refused(server, SourceUnavailable)


def test_a_folder_that_is_missing_is_still_the_manifests_fault() -> None:
    with Scripted(imap({"EXAMINE": b"TAG NO [NONEXISTENT] Mailbox doesn't exist\r\n"})) as server:
        assert "Correct source.folders" in refused(server, SourceUnsuitable)


def test_an_alert_is_kept_once() -> None:
    login = (
        b"* OK [ALERT] Quota at 95%\r\n* NO [alert] Quota at 95%\r\nTAG OK [ALERT] pa$$word is "
        b"weak\r\n"
    )
    with Scripted(imap({"LOGIN": login}, b"* OK [ALERT] gree\x1b[31mting\r\n")) as server:
        opened = source(server)
        assert inbox(opened).notes == ()
        opened.finish()
    assert opened.alerts == ["gree [31mting", "Quota at 95%", "[redacted] is weak"]


@pytest.mark.parametrize(
    ("replies", "greeting"),
    [
        ({}, b"* BYE [ALERT] come again\r\n"),
        ({"LOGIN": b"* BYE [ALERT] come again\r\n"}, b"* OK hi\r\n"),
        ({"LOGIN": b"TAG NO [ALERT] come again\r\n"}, b"* OK hi\r\n"),
        ({"EXAMINE": b"TAG BAD [ALERT] come again\r\n"}, b"* OK hi\r\n"),
        ({"EXAMINE": b"* OK [ALERT] come again\r\nTAG NO no\r\n"}, b"* OK hi\r\n"),
    ],
)
def test_an_alert_is_kept_whatever_it_comes_with(
    replies: dict[str, Reply], greeting: bytes
) -> None:
    with Scripted(imap(replies, greeting)) as server:
        opened = source(server)
        with pytest.raises(SourceError):
            inbox(opened)
        opened.abort()
    assert opened.alerts == ["come again"]


def test_alerts_are_bounded() -> None:
    flood = b"".join(b"* OK [ALERT] %d %s\r\n" % (number, b"x" * 1000) for number in range(50))
    with Scripted(imap({"LOGIN": flood + b"TAG OK in\r\n"})) as server:
        opened = source(server)
        inbox(opened)
        opened.finish()
    assert 1 < len(opened.alerts) < 10
    assert all(len(alert) < 400 for alert in opened.alerts)
