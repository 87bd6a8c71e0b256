"""LMTP against the real thing: Dovecot, and Postfix's sink where servers are hostile."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.destinations.lmtp import lmtp_destination
from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered, Refused
from reconciler.wire.endpoint import Endpoint
from tests.destinations.letters import LETTER, deliver, top
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_settings import EVERY_SCRIPT
from tests.servers.loopback import free_ports


@pytest.fixture
def lmtp(dovecot: Dovecot) -> Iterator[MailSystem]:
    system = lmtp_destination(Endpoint("127.0.0.1", dovecot.ports["lmtp"], "none"))
    yield system
    system.finish()


@contextmanager
def smtp_sink(*options: str) -> Iterator[MailSystem]:
    """Postfix's hostile server, speaking LMTP."""
    program = shutil.which("smtp-sink", path="/usr/sbin:/usr/lib/postfix/sbin")
    assert program, "Postfix is not installed: apt-get install postfix"
    (port,) = free_ports(1)
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    sink = subprocess.Popen(
        [program, *user, "-L", *options, f"127.0.0.1:{port}", "10"], stderr=subprocess.PIPE
    )
    system = lmtp_destination(Endpoint("127.0.0.1", port, "none"))
    try:
        _wait_for(port, sink)
        yield system
    finally:
        system.finish()
        sink.terminate()
        sink.communicate()


def _wait_for(port: int, sink: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and sink.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError(f"the sink does not listen: {sink.stderr and sink.stderr.read()!r}")


def _stored(dovecot: Dovecot, user: str) -> list[bytes]:
    return [message[message.index(b"X-Collector-Id") :] for message in dovecot.messages(user)]


def test_two_recipients_at_dovecot_get_the_message_as_it_is(
    dovecot: Dovecot, lmtp: MailSystem, new_user: Callable[[str], str]
) -> None:
    users = [new_user("lmtp") + "@box.test" for _ in range(2)]
    content = LETTER + "8 бит и \0\n.\n..\n".encode() + b"y" * 10_000 + b"\n"
    outcomes = deliver(lmtp, content, users)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    for user in users:
        assert _stored(dovecot, user) == [top().replace(b"\r", b"") + content]


def test_M8_dovecot_takes_a_labels_and_no_other_script(
    dovecot: Dovecot, lmtp: MailSystem, new_user: Callable[[str], str]
) -> None:
    user = new_user("raz")
    assert not lmtp.deliverable("раз@икс.рф")
    assert lmtp.deliverable(f"{user}@икс.рф")
    first, second = deliver(lmtp, LETTER, [f"{user}@икс.рф", "раз@икс.рф"])
    assert isinstance(first, Delivered)
    assert isinstance(second, Refused)
    assert second.reason.startswith("smtputf8-missing")
    assert len(_stored(dovecot, f"{user}@xn--h1aev.xn--p1ai")) == 1


def test_M8_dovecot_that_is_asked_to_take_every_script() -> None:
    """2.4 offers SMTPUTF8 then, for local parts: domains it takes as A-labels only. 2.3 offers
    nothing."""
    with Dovecot(more=EVERY_SCRIPT) as dovecot:
        assert dovecot.version in {(2, 3), (2, 4)}, "look what this version does, and say it here"
        new = dovecot.version == (2, 4)
        lmtp = lmtp_destination(Endpoint("127.0.0.1", dovecot.ports["lmtp"], "none"))
        asked = ["маша@box.test", "маша@икс.рф", "masha@икс.рф", '"маша и вася"@икс.рф']
        others = [asked[0], asked[1], asked[3]]
        assert ("SMTPUTF8" in lmtp.check()) is new
        assert [lmtp.deliverable(each) for each in asked] == [new, new, True, new]
        assert [lmtp.exists(each) for each in asked] == [
            new or None,
            new or None,
            True,
            new or None,
        ]
        content = "From: Вася <вася@икс.рф>\nSubject: привет\n\nтекст\n".encode()
        outcomes = {outcome.recipient: outcome for outcome in deliver(lmtp, content, asked)}
        lmtp.finish()
        assert isinstance(outcomes["masha@икс.рф"], Delivered)
        if new:
            assert all(isinstance(outcomes[each], Delivered) for each in others)
        else:
            assert {getattr(outcomes[each], "reason", "")[:16] for each in others} == {
                "smtputf8-missing"
            }
        users = {"masha@xn--h1aev.xn--p1ai"} | (
            {"маша@box.test", "маша@xn--h1aev.xn--p1ai", "маша и вася@xn--h1aev.xn--p1ai"}
            if new
            else set()
        )
        assert {path.name for path in (dovecot.root / "mail").iterdir()} == users
        stored = top().replace(b"\r", b"") + content
        assert all(_stored(dovecot, user) == [stored] for user in users)


def test_dovecot_is_asked_whether_a_mailbox_exists(lmtp: MailSystem, user: str) -> None:
    assert lmtp.exists(f"{user}@box.test") is True


def test_many_messages_over_one_connection(dovecot: Dovecot, lmtp: MailSystem, user: str) -> None:
    for number in range(30):
        (outcome,) = deliver(lmtp, LETTER, [f"{user}@box.test"], str(number))
        assert isinstance(outcome, Delivered)
    assert len(dovecot.messages(f"{user}@box.test")) == 30


def test_the_hostile_sink_takes_what_it_takes() -> None:
    with smtp_sink("-8") as lmtp:
        assert [type(each) for each in deliver(lmtp, LETTER, ["a@x.test", "b@x.test"])] == [
            Delivered,
            Delivered,
        ]


def test_D11_the_hostile_sink_drops_after_the_dot() -> None:
    with smtp_sink("-q", ".") as lmtp:
        assert [type(each) for each in deliver(lmtp, LETTER, ["a@x.test", "b@x.test"])] == [
            Deferred,
            Deferred,
        ]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "."])
def test_D8_and_D9_the_hostile_sink_refuses_for_now_or_for_good(command: str) -> None:
    with smtp_sink("-r", command) as lmtp:
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Deferred)
    with smtp_sink("-f", command) as lmtp:
        (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert not outcome.unknown


@pytest.mark.parametrize("command", ["CONNECT", "LHLO"])
def test_a_sink_that_hangs_up_before_the_message_concerns_everybody(command: str) -> None:
    with (
        smtp_sink("-q", command) as lmtp,
        pytest.raises(DestinationUnavailable, match="closed the connection"),
    ):
        deliver(lmtp, LETTER, ["a@x.test"])


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_sink_that_hangs_up_within_a_transaction_concerns_everybody_at_the_third(
    command: str,
) -> None:
    with smtp_sink("-q", command) as lmtp:
        for _ in range(2):
            (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
            assert isinstance(outcome, Deferred)
            assert not outcome.unsure
        with pytest.raises(DestinationUnavailable, match="closed the connection"):
            deliver(lmtp, LETTER, ["a@x.test"])


def test_D12_the_sink_without_8bitmime() -> None:
    with smtp_sink("-8") as lmtp:
        (outcome,) = deliver(lmtp, "Subject: привет\n\n".encode(), ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("8bitmime-missing")


def test_a_unix_socket_with_nobody_behind_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unheard:
        unheard.bind(str(tmp_path / "lmtp"))
    lmtp = lmtp_destination(Endpoint.local(str(tmp_path / "lmtp")))
    with pytest.raises(DestinationUnavailable, match="Connection refused"):
        deliver(lmtp, LETTER, ["a@x.test"])
