"""SMTP: against a real Postfix, and against a scripted server for AUTH and for what Postfix would
not say."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from reconciler.destinations.smtp import SmtpLogin, smtp_destination, smtp_endpoint
from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.model.errors import DestinationUnavailable, TlsRefused
from reconciler.model.outcomes import Deferred, Delivered, Refused
from reconciler.model.secret import Secret
from reconciler.model.spec import SmtpSpec
from reconciler.wire import name_lookup
from reconciler.wire import tls as wire_tls
from reconciler.wire.endpoint import Endpoint, Tls
from tests.destinations.letters import LETTER, deliver, top
from tests.servers.lmtp import DROP, EXTENSIONS, Sink
from tests.servers.postfix import Postfix
from tests.servers.scripted import Client, Scripted

CANARY = "canary-pässword"
PLAIN = base64.b64encode(f"\0user\0{CANARY}".encode()).decode()


@contextmanager
def system(endpoint: Endpoint, login: SmtpLogin | None = None) -> Iterator[MailSystem]:
    opened = smtp_destination(endpoint, login)
    try:
        yield opened
    finally:
        opened.finish()


def at_sink(sink: Sink) -> Endpoint:
    return Endpoint("127.0.0.1", sink.port, "none")


def at_postfix(postfix: Postfix, tls: Tls = "none", ca_file: str | None = None) -> Endpoint:
    port = postfix.tls_port if tls == "implicit" else postfix.port
    return Endpoint(postfix.host, port, tls, ca_file or str(postfix.ca_file))


def test_postfix_takes_a_message_for_two_and_keeps_its_octets(postfix: Postfix) -> None:
    content = b"Return-Path: <from@b.example>\n" + LETTER + b"\0\n.\n" + b"y" * 3000 + b"\n"
    with system(at_postfix(postfix)) as smtp:
        outcomes = deliver(smtp, content, ["ann@box.test", "ben@box.test"])
    assert all(isinstance(each, Delivered) and "queued as" in each.name for each in outcomes)
    for mailbox in ("ann@box.test", "ben@box.test"):
        (stored,) = postfix.messages(mailbox, 1)
        assert stored.startswith(b"Return-Path: <from@b.example>\n")
        assert stored.endswith(content.partition(b"\n\n")[2])
        assert top().replace(b"\r", b"") in stored


def test_M8_postfix_takes_mailboxes_of_every_script(postfix: Postfix) -> None:
    with system(at_postfix(postfix)) as smtp:
        assert smtp.deliverable("раз@игрек.рф")
        assert [smtp.exists(f"{name}@игрек.рф") for name in ("раз", "два", "четыре")] == [
            True,
            True,
            False,
        ]
        outcomes = deliver(smtp, LETTER, ["раз@игрек.рф", "четыре@игрек.рф", "info@игрек.рф"])
    assert [type(each) for each in outcomes] == [Delivered, Refused, Delivered]
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].unknown
    assert (
        len(postfix.messages("раз@игрек.рф", 1)) == len(postfix.messages("info@игрек.рф", 1)) == 1
    )


def test_D9_postfix_does_not_relay_and_that_is_no_missing_mailbox(postfix: Postfix) -> None:
    with system(at_postfix(postfix)) as smtp:
        (outcome,) = deliver(smtp, LETTER, ["x@elsewhere.test"])
    assert isinstance(outcome, Refused)
    assert not outcome.unknown
    assert outcome.reason.startswith("554 5.7.1")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_T5_tls_is_verified_before_anything_is_sent(
    postfix: Postfix, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with system(at_postfix(postfix, tls)) as smtp:
        assert smtp.exists("ann@box.test") is True
    other = tmp_path_factory.mktemp("ca") / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with (
        system(at_postfix(postfix, tls, str(other))) as smtp,
        pytest.raises(DestinationUnavailable, match="CA"),
    ):
        deliver(smtp, LETTER, ["ann@box.test"])


def test_T1_starttls_that_is_not_offered_ends_it() -> None:
    with Sink(each=False) as sink, system(Endpoint("127.0.0.1", sink.port, "starttls")) as smtp:
        with pytest.raises(DestinationUnavailable, match="no STARTTLS"):
            deliver(smtp, LETTER, ["a@x.test"])
        assert all(command.startswith("EHLO") for command in sink.commands)


def test_T3_octets_after_the_answer_to_starttls_are_an_attack() -> None:
    def answer(command: str) -> bytes | None:
        return b"220 go\r\n250 injected\r\n" if command == "STARTTLS" else None

    with (
        Sink(each=False, extensions=["STARTTLS"], answer=answer) as sink,
        system(Endpoint("127.0.0.1", sink.port, "starttls")) as smtp,
        pytest.raises(DestinationUnavailable, match="attack"),
    ):
        deliver(smtp, LETTER, ["a@x.test"])


def test_T4_only_what_is_offered_after_starttls_counts(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(Scripted.host).configure_cert(context)

    def script(client: Client) -> None:
        client.send(b"220 ready\r\n")
        client.line()
        client.send(b"250-mx.test\r\n250-AUTH CRAM-MD5\r\n250 STARTTLS\r\n")
        client.line()
        client.send(b"220 go\r\n")
        client.start_tls(context)
        client.answer(
            {
                b"EHLO": b"250-mx.test\r\n250 AUTH PLAIN\r\n",
                b"AUTH PLAIN": b"235 2.7.0 welcome\r\n",
                b"QUIT": b"221 bye\r\n",
            }
        )

    with Scripted(script) as server:
        endpoint = Endpoint(server.host, server.port, "starttls", str(tmp_path / "ca.pem"))
        with system(endpoint, _login()) as smtp:
            assert smtp.check().endswith("answers and offers AUTH")


def test_D10_one_reply_after_the_message_speaks_for_all_who_were_accepted() -> None:
    with (
        Sink(
            each=False, answer=lambda command: b"550 5.1.1 no\r\n" if "c@" in command else None
        ) as sink,
        system(at_sink(sink)) as smtp,
    ):
        outcomes = deliver(smtp, LETTER, ["a@x.test", "c@x.test", "b@x.test"])
        assert [type(each) for each in outcomes] == [Delivered, Refused, Delivered]
        sink.final = lambda _: [b"452 4.3.1 no space\r\n"]
        assert [type(each) for each in deliver(smtp, LETTER, ["a@x.test", "b@x.test"])] == [
            Deferred,
            Deferred,
        ]
        sink.final = lambda _: [DROP]
        assert [type(each) for each in deliver(smtp, LETTER, ["a@x.test", "b@x.test"])] == [
            Deferred,
            Deferred,
        ]


def _auth(*mechanisms: str, accept: bool = True) -> Sink:
    said = {
        f"AUTH PLAIN {PLAIN}": b"",
        "AUTH LOGIN": b"334 VXNlcm5hbWU6\r\n",
        base64.b64encode(b"user").decode(): b"334 UGFzc3dvcmQ6\r\n",
        base64.b64encode(CANARY.encode()).decode(): b"",
    }

    def answer(command: str) -> bytes | None:
        if command in said and not said[command]:
            echo = f"535 5.7.8 not {command} {CANARY} {PLAIN}\r\n"
            return b"235 2.7.0 welcome\r\n" if accept else echo.encode()
        return said.get(command)

    return Sink(each=False, extensions=[*EXTENSIONS, f"AUTH {' '.join(mechanisms)}"], answer=answer)


def _login(calls: list[str] | None = None) -> SmtpLogin:
    def read() -> Secret:
        if calls is not None:
            calls.append("read")
        return Secret(CANARY)

    return SmtpLogin("user", read)


@pytest.mark.parametrize("mechanisms", [("PLAIN", "LOGIN"), ("LOGIN",), ("XOAUTH2", "PLAIN")])
def test_login_by_plain_or_login(mechanisms: tuple[str, ...]) -> None:
    calls: list[str] = []
    with _auth(*mechanisms) as sink, system(at_sink(sink), _login(calls)) as smtp:
        assert calls == []
        assert isinstance(deliver(smtp, LETTER, ["a@x.test"])[0], Delivered)
        assert calls == ["read"]


@pytest.mark.parametrize("extensions", [["AUTH=PLAIN LOGIN"], ["AUTH PLAIN LOGIN"]])
@pytest.mark.parametrize(
    "refusals",
    [
        {
            f"AUTH PLAIN {PLAIN}": b"501 5.5.4 no initial response\r\n",
            "AUTH PLAIN": b"334 \r\n",
            PLAIN: b"235 welcome\r\n",
        },
        {f"AUTH PLAIN {PLAIN}": b"334 \r\n", PLAIN: b"235 welcome\r\n"},
        {f"AUTH PLAIN {PLAIN}": b"504 5.5.4 not this one\r\n"},
        {f"AUTH PLAIN {PLAIN}": b"535 5.7.8 no\r\n"},
    ],
    ids=["no-initial-response", "asks-again", "mechanism-unknown", "refused"],
)
def test_ways_to_log_in_of_the_same_strength_are_tried_in_turn(
    refusals: dict[str, bytes], extensions: list[str]
) -> None:
    with _auth("PLAIN", "LOGIN") as sink:
        usual, sink.extensions = sink.answer, extensions
        sink.answer = lambda command: refusals.get(command) or usual(command)
        with system(at_sink(sink), _login()) as smtp:
            assert isinstance(deliver(smtp, LETTER, ["a@x.test"])[0], Delivered)
        assert max(sink.commands.count(command) for command in set(sink.commands)) == 1


def test_a_login_that_is_put_off_is_not_tried_in_another_way() -> None:
    with _auth("PLAIN", "LOGIN") as sink:
        sink.answer = lambda command: (
            b"454 4.7.0 try again in 2 minutes\r\n" if command.startswith("AUTH") else None
        )
        with (
            system(at_sink(sink), _login()) as smtp,
            pytest.raises(DestinationUnavailable, match="454") as raised,
        ):
            deliver(smtp, LETTER, ["a@x.test"])
        assert raised.value.retry_after == 120
        assert sum(command.startswith("AUTH") for command in sink.commands) == 1


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (
            b"552 5.3.4 Message too big\r\n",
            Refused,
            "552 5.3.4 Message too big. The destination takes no message so large",
        ),
        (b"452 4.3.1 Insufficient system storage\r\n", Deferred, "452 4.3.1 Insufficient"),
        (b"", Deferred, "no answer to the message"),
        (b"nonsense\r\n", Deferred, "no answer to the message"),
    ],
)
def test_a_server_that_closes_within_the_message_may_have_said_why(
    words: bytes, kind: type, told: str
) -> None:
    def script(client: Client) -> None:
        client.send(b"220 ready\r\n")
        while not client.line().startswith(b"DATA"):
            client.send(b"250 ok\r\n")
        client.send(b"354 go on\r\n")
        for _ in range(100):
            client.line()
        client.send(words)

    with Scripted(script) as server, system(Endpoint(server.host, server.port, "none")) as smtp:
        (outcome,) = deliver(smtp, LETTER + (b"z" * 70 + b"\n") * 200_000, ["a@x.test"])
        assert isinstance(outcome, Deferred | Refused)
        assert type(outcome) is kind
        assert outcome.reason.startswith(told)
        assert getattr(outcome, "unsure", False) is told.startswith("no answer")


@pytest.mark.parametrize("code", [500, 502, 550])
def test_a_server_that_knows_no_ehlo_is_greeted_with_helo(code: int) -> None:
    def answer(command: str) -> bytes | None:
        verb = command.partition(" ")[0]
        return (
            b"250 old.test\r\n"
            if verb == "HELO"
            else f"{code} what?\r\n".encode()
            if verb == "EHLO"
            else None
        )

    with Sink(each=False, answer=answer) as sink:
        with system(at_sink(sink)) as smtp:
            assert isinstance(deliver(smtp, LETTER, ["a@x.test"])[0], Delivered)
        assert "MAIL FROM:<>" in sink.commands
        with (
            system(Endpoint("127.0.0.1", sink.port, "starttls")) as smtp,
            pytest.raises(DestinationUnavailable, match="no STARTTLS"),
        ):
            deliver(smtp, LETTER, ["a@x.test"])


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("LOGIN",)])
def test_S1_a_refused_login_shows_no_secret_though_the_server_echoes_it(
    mechanisms: tuple[str, ...],
) -> None:
    with _auth(*mechanisms, accept=False) as sink, system(at_sink(sink), _login()) as smtp:
        with pytest.raises(
            DestinationUnavailable, match="refuses the login of user: 535"
        ) as caught:
            deliver(smtp, LETTER, ["a@x.test"])
        encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
        for secret in (CANARY, PLAIN.rstrip("="), encoded):
            assert secret not in str(caught.value)


def _quoting(secret: str) -> Iterator[bytes]:
    """Yield the secret as servers write it, whole and in part."""
    whole = secret.encode()
    yield from (whole, whole.upper(), whole[:9], whole[4:14], whole[-7:])
    yield from (whole.hex().encode(), urllib.parse.quote(secret, safe="").encode())
    for before in (b"", b"\0", b"\0user\0"):
        encoded = base64.b64encode(before + whole)
        yield from (encoded, encoded[len(before) + 3 : -5])


@pytest.mark.parametrize(
    "moment", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "message", "check"]
)
def test_S1_no_reply_shows_a_part_of_the_password(moment: str) -> None:
    secret = "canary-Kennwort-0815"
    said = list(_quoting(secret))

    def answer(command: str) -> bytes | None:
        verb = command.partition(" ")[0]
        if verb == "EHLO" and moment == "check":
            quoted = b"".join(b"250-X%s\r\n" % one for one in said)
            return b"250-x\r\n%s250 AUTH PLAIN\r\n" % quoted
        if verb == "EHLO" and moment not in {"EHLO", "greeting"}:
            return b"250-x\r\n250 AUTH PLAIN\r\n"
        if verb == "AUTH" and moment != "AUTH":
            return b"235 welcome\r\n"
        return _refusal(said) if moment in (verb, verb.replace("HELO", "EHLO")) else None

    greeting = _refusal(said) if moment == "greeting" else b"220 x\r\n"
    final = (lambda _: [_refusal(said)]) if moment == "message" else None
    login = SmtpLogin("user", lambda: Secret(secret))
    with (
        Sink(each=False, answer=answer, greeting=greeting, final=final) as sink,
        system(at_sink(sink), login) as smtp,
    ):
        try:
            shown = smtp.check() if moment == "check" else str(deliver(smtp, LETTER, ["a@x.test"]))
        except DestinationUnavailable as error:
            shown = str(error)
    assert "[redacted]" in shown
    forms = [secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode().rstrip("=")]
    parts = {form[at : at + 6].lower() for form in forms for at in range(len(form) - 5)}
    assert not [part for part in parts if part in shown.lower()]


def _refusal(said: Sequence[bytes]) -> bytes:
    return b"".join(b"554-%s\r\n" % one for one in said) + b"554 no\r\n"


def test_a_password_that_is_a_keyword_changes_no_meaning() -> None:
    password = "pipelining-STARTTLS-mailbox-full"  # what must not be taken for it

    def answer(command: str) -> bytes | None:
        if command.startswith("EHLO"):
            return b"250-x\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
        if command.startswith("AUTH"):
            return b"235 welcome\r\n"
        if command.startswith("RCPT"):
            return b"552 mailbox full\r\n"
        return None

    login = SmtpLogin("user", lambda: Secret(password))
    with Sink(each=False, answer=answer) as sink, system(at_sink(sink), login) as smtp:
        (found,) = deliver(smtp, LETTER, ["a@x.test"])
        assert "PIPELINING" not in smtp.check()
    plain = Sink(each=False, answer=lambda one: answer(one) if "RCPT" in one else None)
    with plain as sink, system(at_sink(sink)) as smtp:
        (other,) = deliver(smtp, LETTER, ["a@x.test"])
    assert type(found) is type(other)


def test_T12_no_mechanism_that_we_speak() -> None:
    with (
        _auth("CRAM-MD5") as sink,
        system(at_sink(sink), _login()) as smtp,
        pytest.raises(DestinationUnavailable, match="neither AUTH PLAIN nor LOGIN"),
    ):
        deliver(smtp, LETTER, ["a@x.test"])


@pytest.mark.parametrize(
    ("tls", "expected"), [("none", "none"), ("starttls", "starttls"), ("implicit", "implicit")]
)
def test_the_manifest_says_where_and_how(tls: Tls, expected: str) -> None:
    endpoint = smtp_endpoint(SmtpSpec(host="mx.test", port=587, tls=tls))
    assert (endpoint.host, endpoint.port, endpoint.tls) == ("mx.test", 587, expected)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_E10_a_ca_or_a_pinned_certificate_of_the_destination_s_own(
    postfix: Postfix, tls: Tls
) -> None:
    """And what refuses one names the field of the destination."""
    port = postfix.tls_port if tls == "implicit" else postfix.port
    with socket.create_connection((postfix.host, postfix.tls_port)) as raw:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw) as wrapped:
            found = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
    for trust, fine in (
        ({"caFile": str(postfix.ca_file)}, True),
        ({"fingerprint": f"sha256:{found}"}, True),
        ({}, False),
        ({"fingerprint": "0" * 64}, False),
    ):
        spec = SmtpSpec.model_validate({"host": postfix.host, "port": port, "tls": tls, **trust})
        with system(smtp_endpoint(spec)) as smtp:
            if fine:
                assert smtp.exists("ann@box.test") is True
            else:
                with pytest.raises(DestinationUnavailable, match=r"smtp\.caFile|fingerprint"):
                    smtp.exists("ann@box.test")


def test_E10_no_password_without_tls_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate` says so; a last good version that still says it is held to it, too."""
    looked_up = name_lookup._getaddrinfo
    monkeypatch.setattr(
        name_lookup, "_getaddrinfo", lambda host, port: looked_up("127.0.0.1", port)
    )
    calls: list[str] = []
    with (
        _auth("PLAIN") as sink,
        system(Endpoint("mx.example.net", sink.port, "none"), _login(calls)) as smtp,
    ):
        with pytest.raises(DestinationUnavailable, match="not sent unencrypted"):
            deliver(smtp, LETTER, ["a@x.test"])
        assert calls == []
        assert not [command for command in sink.commands if "AUTH" in command]


@pytest.mark.parametrize(
    "kind", ["fifo", "directory", "device", "huge", "missing", "empty", "text"]
)
def test_B10_a_ca_file_is_read_within_bounds(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ca.pem"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "empty" | "text":
            path.write_text("" if kind == "empty" else "no certificate")
    with pytest.raises(TlsRefused, match="cannot be read"):
        wire_tls.client_context(str(path), None)


def test_B10_certificates_between_other_texts(tmp_path: Path) -> None:
    one, two = trustme.CA(), trustme.CA()
    path = tmp_path / "ca.pem"
    other = two.cert_pem.bytes().replace(b"\n", b"\r\n")
    path.write_bytes(b"# b\xfcndel\n" + one.cert_pem.bytes() + b"\ntext \xff\n" + other)
    assert len(wire_tls.client_context(str(path), None).get_ca_certs()) == 2
    der = ssl.PEM_cert_to_DER_cert(one.cert_pem.bytes().decode())
    path.write_bytes(der)
    assert len(wire_tls.client_context(str(path), None).get_ca_certs()) == 1
