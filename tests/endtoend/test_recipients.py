"""Whom mail is for, from a real mailbox to where it is delivered: Maildirs, Postfix, Dovecot's
LMTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from msgspec.structs import asdict

from tests.endtoend.accounting import assert_adds_up
from tests.endtoend.deployment import Deployment
from tests.routing.cases import cases
from tests.servers.dovecot import Dovecot
from tests.servers.lmtp import Sink
from tests.servers.postfix import Postfix

Protocol = Literal["imap", "pop3"]
PROTOCOLS: tuple[Protocol, ...] = ("imap", "pop3")
Accounts = Callable[[str, str], None]
"""Collect from all of them, `fields` of detect and a mode given."""
MODES = ["all-delete", "new-delete", "new-keep"]


def message(to: str, own: str, number: int = 1) -> bytes:
    """As it lies on an account that collects for many: its own address is in Delivered-To of every
    message."""
    return (
        f"Return-Path: <from@far.example>\nDelivered-To: {own}\nReceived: from a.test by b.test\n"
        f"\tfor <{own}>; Sun, 22 Nov 2026 22:40:00 +0000\nFrom: from@far.example\nTo: {to}\n"
        f"Subject: number {number}\n\nbody {number}\n"
    ).encode()


ALL_THREE = (
    "раз@почта.рф, =?utf-8?B?0LTQstCw?= <ДВА@xn--80a1acny.xn--p1ai>,\n Третий <три@Почта.рф>"
)


@pytest.fixture
def own(new_user: Callable[[str], str]) -> str:
    return new_user("пример") + "@почта.рф"


def detecting(
    deployment: Deployment,
    name: str,
    user: str,
    fields: str,
    protocol: Protocol = "imap",
    mode: str = "new-keep",
) -> None:
    """A collector that finds out the recipients of почта.рф; `fields` of `detect`, one after
    another."""
    path = deployment.declare(name, user, protocol=protocol, mode=mode, limit=0)
    head = path.read_text().partition("  recipient:")[0]
    deployment.write(name, f"{head}  recipient: {{detect: {{from: [почта.рф], {fields}}}}}\n")


def destination(deployment: Deployment, spec: str) -> None:
    deployment.write(
        "destination",
        "apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {name: local}\n"
        f"spec: {{default: true, {spec}}}\n",
    )


def session(deployment: Deployment, name: str) -> dict[str, Any]:
    found: dict[str, Any] = deployment.get(name)[name]["status"]["lastSession"]
    assert_adds_up(found)
    return found


@pytest.fixture
def accounts(deployment: Deployment, dovecot: Dovecot, new_user: Callable[[str], str]) -> Accounts:
    """One collected by IMAP and one by POP3, each with a message for three and one for a fourth."""
    owns: dict[Protocol, str] = {
        protocol: new_user("пример") + "@почта.рф" for protocol in PROTOCOLS
    }
    for own in owns.values():
        dovecot.deliver(own, [message(ALL_THREE, own), message("четыре@почта.рф", own, 2)])

    def collect(fields: str, mode: str) -> None:
        for protocol, own in owns.items():
            detecting(deployment, protocol, own, fields, protocol, mode=mode)
        deployment.once()
        for protocol, own in owns.items():
            assert session(deployment, protocol)["collected"] == 2
            assert dovecot.messages(own) == []

    return collect


def test_M8_the_seeds_example_into_maildirs(deployment: Deployment, accounts: Accounts) -> None:
    accounts("to: икс.рф, mailboxes: [раз, два, три], default: info@икс.рф", "new-delete")
    mail = deployment.root / "mail" / "икс.рф"
    for name, number in (("раз", 1), ("два", 1), ("три", 1), ("info", 2)):
        first, second = (path.read_bytes() for path in (mail / name / "new").iterdir())
        assert first.endswith(f"body {number}\n".encode())
        assert second.endswith(f"body {number}\n".encode())
    assert sorted(path.name for path in mail.iterdir()) == sorted(["раз", "два", "три", "info"])


def test_M8_the_seeds_example_through_postfix(
    deployment: Deployment, postfix: Postfix, accounts: Accounts
) -> None:
    destination(deployment, f"smtp: {{host: {postfix.host}, port: {postfix.port}}}")
    accounts("to: зет.рф, default: info@зет.рф", "all-delete")
    for name in ("раз", "два", "три", "info"):
        stored = postfix.messages(f"{name}@зет.рф", 2)
        assert len(stored) == 2
        assert all(
            b"X-Collector-Id: " in each and each.startswith(b"Return-Path: <from@far.example>")
            for each in stored
        )


def test_M8_the_seeds_example_through_dovecots_lmtp(
    deployment: Deployment, dovecot: Dovecot, accounts: Accounts, new_user: Callable[[str], str]
) -> None:
    raz, dva, tri, info = (new_user(name) for name in ("raz", "dva", "tri", "info"))
    destination(deployment, f"lmtp: {{host: localhost, port: {dovecot.ports['lmtp']}}}")
    accounts(
        f"to: икс.рф, aliases: {{раз: {raz}, два: {dva}, три: {tri}}}, default: {info}@икс.рф",
        "new-delete",
    )
    for name in (raz, dva, tri, info):
        assert len(dovecot.messages(f"{name}@xn--h1aev.xn--p1ai")) == 2


def test_the_pipeline_delivers_the_corpus_as_route_says(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    seed = [case for case in cases() if case.declared_by == "seed"]
    expected: dict[str, list[bytes]] = {}
    for case in seed:
        dovecot.deliver(user, [case.path.read_bytes()])
        for recipient in case.recipients:
            expected.setdefault(recipient.address, []).append(_unified(case.path.read_bytes()))
    detecting(
        deployment,
        "seed",
        user,
        "to: икс.рф, mailboxes: [раз, два, три], default: info@икс.рф",
        "pop3",
    )
    path = deployment.manifests / "seed.yaml"
    path.write_text(
        path.read_text().replace("username:", "address: пример@почта.рф\n    username:")
    )
    deployment.once()
    assert session(deployment, "seed")["collected"] == len(seed) > 60
    for case in seed[::25]:
        told = json.loads(
            deployment.run(
                "route",
                "seed",
                str(case.path),
                "-o",
                "json",
                "--manifests",
                str(deployment.manifests),
            ).stdout
        )
        assert told["recipients"] == [asdict(recipient) for recipient in case.recipients]
    for address, messages in expected.items():
        local, _, domain = address.partition("@")
        maildir = deployment.root / "mail" / domain / local
        assert sorted(_unified(path.read_bytes()) for path in maildir.glob("new/*")) == sorted(
            messages
        )


def _unified(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n").rstrip(b"\n")


def test_without_a_default_it_is_parked_and_stays_in_every_mode(
    deployment: Deployment, dovecot: Dovecot, new_user: Callable[[str], str]
) -> None:
    owns = {
        f"{protocol}-{mode}": new_user("пример") + "@почта.рф"
        for protocol in PROTOCOLS
        for mode in MODES
    }
    for name, own in owns.items():
        protocol, _, mode = name.partition("-")
        dovecot.deliver(own, [message("четыре@почта.рф", own), message("раз@почта.рф", own, 2)])
        detecting(
            deployment,
            name,
            own,
            "to: икс.рф, mailboxes: [раз]",
            "imap" if protocol == "imap" else "pop3",
            mode=mode,
        )
    for _ in range(2):
        deployment.once()
        for shown in deployment.get().values():
            assert_adds_up(shown["status"]["lastSession"])
            assert shown["status"]["lastSession"]["parked"] == 1
    for name, own in owns.items():
        assert len(dovecot.messages(own)) == (2 if name.endswith("keep") else 1)
        assert any("четыре".encode() in each for each in dovecot.messages(own))
    (parked,) = json.loads(deployment.run("describe", "pop3-new-keep", "-o", "json").stdout)[
        "parked"
    ]
    assert parked["reason"] == "unknown-mailbox"


def test_parked_mail_is_delivered_once_the_manifest_names_its_mailbox(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    dovecot.deliver(own, [message("четыре@почта.рф", own)])
    detecting(deployment, "seed", own, "to: икс.рф, mailboxes: [раз]", mode="new-delete")
    deployment.once()
    assert session(deployment, "seed")["parked"] == 1
    detecting(deployment, "seed", own, "to: икс.рф, mailboxes: [раз, четыре]", mode="new-delete")
    deployment.once()
    assert session(deployment, "seed")["collected"] == 1
    assert dovecot.messages(own) == []


def test_D10_L1_replies_250_and_452_deliver_once_each_and_delete_after_both(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    dovecot.deliver(own, [message("раз@почта.рф, два@почта.рф", own)])
    detecting(
        deployment, "seed", own, "to: икс.рф, aliases: {раз: raz, два: dva}", mode="new-delete"
    )
    with Sink(final=lambda _: [b"250 2.0.0 saved\r\n", b"452 4.2.2 full\r\n"]) as sink:
        destination(deployment, f"lmtp: {{host: 127.0.0.1, port: {sink.port}}}")
        deployment.once(code=1)
        assert session(deployment, "seed")["failed"] == 1
        assert len(dovecot.messages(own)) == 1
        sink.final = lambda recipients: [b"250 2.0.0 saved\r\n"] * len(recipients)
        deployment.once()
        assert session(deployment, "seed")["collected"] == 1
        assert dovecot.messages(own) == []
        asked = [command for command in sink.commands if command.startswith("RCPT")]
    assert asked == [
        "RCPT TO:<raz@xn--h1aev.xn--p1ai>",
        "RCPT TO:<dva@xn--h1aev.xn--p1ai>",
        "RCPT TO:<dva@xn--h1aev.xn--p1ai>",
    ]
    assert sink.messages[0] == sink.messages[1]


def test_D9_a_refusal_parks_visibly_and_keeps_the_source(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    dovecot.deliver(own, [message("раз@почта.рф", own)])
    detecting(
        deployment,
        "seed",
        own,
        "to: икс.рф, aliases: {раз: raz}, default: info@икс.рф",
        mode="all-delete",
    )
    with Sink(final=lambda _: [b"554 5.7.1 looks bad\r\n"]) as sink:
        destination(deployment, f"lmtp: {{host: 127.0.0.1, port: {sink.port}}}")
        deployment.once()
    assert session(deployment, "seed")["parked"] == 1
    (parked,) = json.loads(deployment.run("describe", "seed", "-o", "json").stdout)["parked"]
    assert "554 5.7.1 looks bad" in parked["reason"]
    assert len(dovecot.messages(own)) == 1


def test_a_destination_that_puts_everybody_off_ends_the_fetching(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    names = {"раз": "raz", "два": "dva", "три": "tri"}
    dovecot.deliver(
        own, [message(f"{name}@почта.рф", own, number) for number, name in enumerate([*names] * 7)]
    )
    aliases = ", ".join(f"{name}: {local}" for name, local in names.items())
    detecting(deployment, "seed", own, f"to: икс.рф, aliases: {{{aliases}}}", mode="all-delete")
    with Sink(final=lambda _: [b"451 4.3.0 not now\r\n"]) as sink:
        destination(deployment, f"lmtp: {{host: 127.0.0.1, port: {sink.port}}}")
        deployment.once(code=1)
        assert len(sink.messages) < 10
    found = session(deployment, "seed")
    assert "451 4.3.0 not now" in found["error"]["message"]
    assert found["left"] > 10
    assert len(dovecot.messages(own)) == 21


def test_D12_a_socket_that_is_not_there_is_said_and_nothing_is_lost(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    dovecot.deliver(own, [message("раз@почта.рф", own)])
    detecting(deployment, "seed", own, "to: икс.рф, aliases: {раз: raz}", mode="all-delete")
    destination(deployment, "lmtp: {socket: /nowhere/lmtp}")
    deployment.once(code=1)
    error = session(deployment, "seed")["error"]
    assert error["reason"] == "DestinationUnavailable"
    assert "/nowhere/lmtp" in error["message"]
    assert len(dovecot.messages(own)) == 1


def test_parked_mail_is_tried_again_when_asked_for(
    deployment: Deployment, dovecot: Dovecot, own: str
) -> None:
    dovecot.deliver(own, [message("раз@почта.рф", own)])
    (deployment.root / "mail").mkdir()
    detecting(deployment, "seed", own, "to: икс.рф", mode="new-delete")
    deployment.once()
    assert session(deployment, "seed")["parked"] == 1
    manifests = ("--manifests", str(deployment.manifests))
    told = json.loads(deployment.run("describe", "seed", *manifests, "-o", "json").stdout)
    assert [parked["reason"] for parked in told["parked"]] == ["unknown-mailbox"]

    box = deployment.root / "mail" / "икс.рф" / "раз"
    box.mkdir(parents=True)
    deployment.run("collect", "seed", *manifests)
    assert session(deployment, "seed")["parked"] == 1
    with deployment.daemon() as daemon:
        daemon.condition("seed", "Ready", "True")
        deployment.run("collect", "seed", "--retry-parked", "--wait")
        found = session(deployment, "seed")
    assert (found["parked"], found["collected"], found["deleted"]) == (0, 1, 1)
    assert len(list(box.glob("new/*"))) == 1
