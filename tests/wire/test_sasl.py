"""SASL exchanges, by the examples of their RFCs."""

from __future__ import annotations

import base64

import pytest

from reconciler.model.errors import ProtocolViolation, SourceUnsuitable
from reconciler.model.secret import Secret, redact
from reconciler.wire import sasl
from reconciler.wire.sasl import Credentials, Exchange, Scram

PENCIL = Credentials("user", Secret("pencil"))
TOKEN = Credentials("someuser@example.com", Secret("vF9dft4qmT"), token=True)
VECTORS = {  # RFC 5802, section 5; RFC 7677, section 3
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        (
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        ),
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


def said(exchange: Exchange, text: bytes) -> bytes:
    return base64.b64decode(exchange.reply(base64.b64encode(text)))


def first(exchange: Exchange) -> bytes:
    return base64.b64decode(exchange.initial() or b"")


def names(offered: str, *, secure: bool, credentials: Credentials = PENCIL) -> list[str]:
    return sasl.mechanisms(credentials, offered.split(), secure=secure)


def test_plain_is_utf_8() -> None:
    assert sasl.plain("пример@почта.рф", Secret("пароль")) == "\0пример@почта.рф\0пароль".encode()


@pytest.mark.parametrize("bad", ["\r", "\n", "\0"])
def test_hazard_3_controls_never_reach_the_wire(bad: str) -> None:
    with pytest.raises(SourceUnsuitable, match=r"source\.username"):
        sasl.plain(f"a{bad}b", Secret("x"))
    for kind in (sasl.Plain, sasl.CramMd5, sasl.OAuthBearer, sasl.XOAuth2):
        with pytest.raises(SourceUnsuitable, match=r"source\.password") as caught:
            kind(Credentials("a", Secret(f"canary{bad}b")))
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", VECTORS)
def test_scram(name: str) -> None:
    nonce, server_first, client_final, server_final = VECTORS[name]
    exchange = Scram(name, PENCIL, nonce)
    assert first(exchange) == f"n,,n=user,r={nonce}".encode()
    assert said(exchange, server_first) == client_final
    with pytest.raises(ProtocolViolation, match="prove"):
        exchange.settle()
    assert said(exchange, server_final) == b""
    exchange.settle()
    with pytest.raises(ProtocolViolation):
        said(exchange, b"more")


@pytest.mark.parametrize("name", VECTORS)
def test_scram_server_that_does_not_know_the_password(name: str) -> None:
    nonce, server_first, _, server_final = VECTORS[name]
    exchange = Scram(name, PENCIL, nonce)
    first(exchange)
    said(exchange, server_first)
    with pytest.raises(ProtocolViolation, match="proof") as caught:
        said(exchange, server_final[:5] + b"A" + server_final[6:])
    assert "pencil" not in str(caught.value)


@pytest.mark.parametrize(
    "bent",
    [
        b"r=other,s=QSXCR+Q6sek8bf92,i=4096",
        b"x",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=!,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1",
        b"\xff",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=999999999",
    ],
)
def test_scram_parameters_that_cannot_be(bent: bytes) -> None:
    exchange = Scram("SCRAM-SHA-1", PENCIL, VECTORS["SCRAM-SHA-1"][0])
    first(exchange)
    with pytest.raises(ProtocolViolation, match="SCRAM-SHA-1"):
        said(exchange, bent)


def test_scram_refusal_is_left_to_the_command_s_reply() -> None:
    nonce, server_first, _, _ = VECTORS["SCRAM-SHA-1"]
    exchange = Scram("SCRAM-SHA-1", PENCIL, nonce)
    first(exchange)
    said(exchange, server_first)
    assert said(exchange, b"e=invalid-proof") == b""


def test_scram_password_that_it_cannot_carry() -> None:
    with pytest.raises(SourceUnsuitable, match="RFC 4013") as caught:
        Scram("SCRAM-SHA-256", Credentials("user", Secret("canary\u0007")))
    assert "canary" not in str(caught.value)


def test_cram_md5() -> None:
    """RFC 2195, section 2."""
    exchange = sasl.CramMd5(Credentials("tim", Secret("tanstaaftanstaaf")))
    assert exchange.initial() is None
    assert (
        said(exchange, b"<1896.697170952@postoffice.reston.mci.net>")
        == b"tim b913a602c7eda7a495b4e6e7334d3890"
    )
    with pytest.raises(ProtocolViolation):
        said(exchange, b"again")


def test_oauthbearer_and_xoauth2() -> None:
    """RFC 7628, section 4.1, without the host and port that are optional; Google's own example has
    the other."""
    bearer, own = sasl.OAuthBearer(TOKEN), sasl.XOAuth2(TOKEN)
    assert first(bearer) == b"n,a=someuser@example.com,\x01auth=Bearer vF9dft4qmT\x01\x01"
    assert first(own) == b"user=someuser@example.com\x01auth=Bearer vF9dft4qmT\x01\x01"
    assert said(bearer, b'{"status":"invalid_token"}') == b"\x01"
    assert said(own, b'{"status":"400"}') == b""
    with pytest.raises(ProtocolViolation):
        said(bearer, b"again")
    assert first(sasl.OAuthBearer(Credentials("a=b,c", Secret("t"), token=True))).startswith(
        b"n,a=a=3Db=2Cc,"
    )


def test_without_initial_response_the_first_challenge_only_asks_for_it() -> None:
    assert sasl.Plain(PENCIL).reply(b"go on") == base64.b64encode(b"\0user\0pencil")
    with pytest.raises(ProtocolViolation, match="base64"):
        sasl.CramMd5(PENCIL).reply(b"\xff")


def test_strongest_first_and_never_the_password_after_a_proof_without_tls() -> None:
    everything = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER"
    assert names(everything, secure=True) == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
    assert names(everything, secure=False) == ["SCRAM-SHA-256"]
    assert names("SCRAM-SHA-1 CRAM-MD5", secure=True) == ["SCRAM-SHA-1"]
    assert names("PLAIN CRAM-MD5", secure=True) == ["PLAIN"]
    assert names("PLAIN CRAM-MD5", secure=False) == ["CRAM-MD5"]
    assert names("PLAIN", secure=False) == ["PLAIN"]
    assert names("LOGIN GSSAPI", secure=True) == ["LOGIN"]
    assert names("LOGIN CRAM-MD5", secure=False) == ["CRAM-MD5"]
    assert names("GSSAPI NTLM", secure=True) == []


@pytest.mark.parametrize("kind", [sasl.Plain, sasl.OAuthBearer, sasl.XOAuth2])
def test_a_server_that_asks_for_the_initial_response_again_gets_it_once(
    kind: type[Exchange],
) -> None:
    exchange = kind(TOKEN)
    assert exchange.reply(b"") == exchange.initial()
    exchange = kind(TOKEN)
    sent = exchange.initial()
    assert exchange.reply(b"") == sent
    if kind is sasl.Plain:
        with pytest.raises(ProtocolViolation):
            exchange.reply(b"")


@pytest.mark.parametrize(
    "prompts", [(b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"), (b"", b""), (b"Username:", b"what else?")]
)
def test_login_answers_whatever_is_asked(prompts: tuple[bytes, bytes]) -> None:
    exchange = sasl.LoginMechanism(PENCIL)
    assert exchange.initial() is None
    assert [base64.b64decode(exchange.reply(prompt)) for prompt in prompts] == [b"user", b"pencil"]
    with pytest.raises(ProtocolViolation):
        exchange.reply(b"")


def test_a_token_goes_by_its_own_mechanisms_only() -> None:
    assert names("PLAIN SCRAM-SHA-1 XOAUTH2 OAUTHBEARER", secure=True, credentials=TOKEN) == [
        "OAUTHBEARER",
        "XOAUTH2",
    ]
    assert names("PLAIN XOAUTH2", secure=True, credentials=TOKEN) == ["XOAUTH2"]
    assert names("PLAIN", secure=True, credentials=TOKEN) == []


@pytest.mark.parametrize("credentials", [PENCIL, TOKEN])
def test_S1_every_form_that_goes_out_is_redacted(credentials: Credentials) -> None:
    kinds = (sasl.OAuthBearer, sasl.XOAuth2) if credentials.token else (sasl.Plain,)
    for kind in kinds:
        sent = (kind(credentials).initial() or b"").decode()
        assert sent.rstrip("=") not in redact(f"you said {sent}!", credentials.forms())
    assert credentials.secret.reveal() not in redact(
        f"x{credentials.secret.reveal()}", credentials.forms()
    )
    assert repr(credentials).count(credentials.secret.reveal()) == 0
