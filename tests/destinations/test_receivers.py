"""Exim, OpenSMTPD, aiosmtpd and Net::Server::Mail take what they are given, octet for octet, or say
why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

import pytest

from reconciler.destinations.lmtp import lmtp_destination
from reconciler.destinations.smtp import SmtpLogin, smtp_destination
from reconciler.destinations.transfer import transfer_dialogue
from reconciler.destinations.transfer.line_ends import canonical_lines
from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered, DeliveryOutcome, Refused
from reconciler.model.secret import Secret
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from tests.destinations.letters import deliver, top
from tests.servers.receivers import (
    SIZE,
    Aiosmtpd,
    AiosmtpdLmtp,
    Exim,
    NetServerMail,
    OpenSmtpd,
    Receiver,
)

A, B, NOBODY = "a@here.example", "b@here.example", "nobody@here.example"
LETTER = (
    b"From: a@b.example\nDate: Fri, 27 Nov 2026 10:00:00 +0000\nMessage-ID: <1@b.example>\n\nbody\n"
)
MESSAGES = {
    "plain": LETTER,
    "sender": b"Return-Path: <somebody@b.example>\n" + LETTER,
    "8-bit": LETTER + "тело и \xff".encode() + b"\xff\xfe\n",
    "dots": LETTER + b".\n..\n.x\n\n.\n",
    "lone line ends": LETTER + b"a\rb\nc\r\n.\rd\n\r.\r\n",
    "no last line end": LETTER + b"end",
    "998 letters": LETTER + b"x" * 998 + b"\n",
    "2,000 letters": LETTER + b"y" * 2000 + b"\n",
    "NUL": LETTER + b"a\0b\n",
    "5 MB": LETTER + (b"z" * 75 + b"\n") * 68_000,
    "header alone": LETTER.partition(b"\n\n")[0] + b"\n",
}
TOO_LARGE = LETTER + (b"z" * 75 + b"\n") * (SIZE // 76 + 1000)


@pytest.fixture(
    scope="module",
    params=[Exim, OpenSmtpd, Aiosmtpd, NetServerMail],
    ids=lambda kind: str(kind.__name__),
)
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with request.param() as receiver:
        yield receiver


@pytest.fixture
def system(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSystem]:
    monkeypatch.setattr(transfer_dialogue, "_ONE_MORE", 0.5)
    opened = _opened(receiver)
    yield opened
    opened.finish()


def _opened(receiver: Receiver, limits: Limits | None = None) -> MailSystem:
    endpoint = Endpoint("127.0.0.1", receiver.port, "none")
    make = lmtp_destination if receiver.protocol == "lmtp" else smtp_destination
    return make(endpoint, limits=limits) if limits else make(endpoint)


def _stored(content: bytes) -> bytes:
    """As it is in a mailbox whose line ends are LF."""
    return b"".join(canonical_lines([top(), content])).replace(b"\r\n", b"\n")


def test_messages_arrive_octet_for_octet_or_are_refused_with_words(
    receiver: Receiver, system: MailSystem
) -> None:
    """More of them than Exim and OpenSMTPD take over one connection, some with a recipient whom
    nobody knows."""
    refused: dict[str, DeliveryOutcome] = {}
    expected = []
    for number, (name, content) in enumerate(MESSAGES.items()):
        recipients = [A, NOBODY] if number % 3 == 0 else [A]
        found = deliver(system, content, recipients)
        assert [type(each) for each in found[1:]] == [Refused] * (len(recipients) - 1)
        if isinstance(found[0], Delivered):
            expected.append(
                _stored(
                    content.replace(b"\0b", b"") if isinstance(receiver, OpenSmtpd) else content
                )
            )
        else:
            refused[name] = found[0]
    assert all(
        isinstance(each, Refused) and each.reason.startswith("5") for each in refused.values()
    ), refused
    assert set(refused) == _REFUSES.get(type(receiver), set())
    assert sorted(map(_digest, receiver.messages("a", len(expected)))) == sorted(
        map(_digest, expected)
    )


_REFUSES: dict[type[Receiver], set[str]] = {Aiosmtpd: {"2,000 letters"}}
"""RFC 5321, section 4.5.3.1.6, lets a line have 1,000 octets."""


def _digest(text: bytes) -> str:
    """So that a failure stays readable. Exim ends a header without a body by a blank line."""
    text = text.rstrip(b"\n")
    return f"{text[-20:]!r} {hashlib.sha256(text).hexdigest()}"


def test_several_recipients_and_who_is_known(receiver: Receiver, system: MailSystem) -> None:
    before = len(list((receiver.directory / "mail/b/new").iterdir()))
    assert [system.exists(each) for each in (A, NOBODY, B)] == [True, False, True]
    found = deliver(system, LETTER, [A, NOBODY, B], "two")
    if isinstance(receiver, NetServerMail):  # one answer for both: whom it is about is not certain
        assert [type(each) for each in found] == [Delivered, Refused, Deferred]
        assert [type(each) for each in deliver(system, LETTER, [A, NOBODY, B])] == [
            Delivered,
            Refused,
            Delivered,
        ]
    else:
        assert [type(each) for each in found] == [Delivered, Refused, Delivered]
    assert isinstance(found[1], Refused)
    assert found[1].unknown
    assert receiver.messages("b", before + 1)[0]


def test_a_message_over_the_limit_and_an_address_that_cannot_be_said_are_kept(
    receiver: Receiver, system: MailSystem
) -> None:
    if receiver.protocol == "smtp":
        (outcome,) = deliver(system, TOO_LARGE, [A])
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("too-large")
    (outcome,) = deliver(system, LETTER, ["раз@here.example"])
    if receiver.extended:
        assert not isinstance(outcome, Refused) or outcome.unknown
    else:
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("smtputf8-missing")
    assert isinstance(deliver(system, LETTER, [A], "after")[0], Delivered)


def test_tls_by_ca_and_by_fingerprint_and_a_login() -> None:
    with Exim() as receiver:
        pinned = f"sha256:{hashlib.sha256(receiver.certificate).hexdigest()}"
        taken = 0
        ways: list[tuple[Literal["starttls", "implicit"], int]] = [
            ("starttls", receiver.port),
            ("implicit", receiver.tls_port),
        ]
        for tls, port in ways:
            for ca_file, fingerprint in (
                (receiver.ca_file, None),
                (None, pinned),
                (None, None),
                (None, "0" * 64),
            ):
                system = smtp_destination(Endpoint("localhost", port, tls, ca_file, fingerprint))
                if ca_file or fingerprint == pinned:
                    assert isinstance(deliver(system, LETTER, [A])[0], Delivered)
                    taken += 1
                else:
                    with pytest.raises(DestinationUnavailable):
                        deliver(system, LETTER, [A])
                system.finish()
        at = Endpoint("localhost", receiver.port, "starttls", receiver.ca_file)
        system = smtp_destination(at, SmtpLogin("user", lambda: Secret(receiver.password)))
        assert isinstance(deliver(system, LETTER, [A])[0], Delivered)
        system.finish()
        with pytest.raises(DestinationUnavailable, match="refuses the login of user: 535"):
            deliver(smtp_destination(at, SmtpLogin("user", lambda: Secret("wrong"))), LETTER, [A])
        assert len(receiver.messages("a", taken + 1)) == 5


def test_an_lmtp_server_that_answers_once_for_several_recipients() -> None:
    """aiosmtpd's: whoever has no answer is not taken for served, nor the next answer for his."""
    with AiosmtpdLmtp() as receiver:
        system = _opened(receiver, Limits(silence=3))
        first, second = deliver(system, LETTER, [A, B])
        assert isinstance(first, Delivered)
        assert isinstance(second, Deferred)
        assert second.unsure
        assert isinstance(deliver(system, LETTER, [B])[0], Delivered)
        system.finish()
        assert len(set(receiver.messages("b", 2))) == 1
