"""The server that the other tests stand on: does it keep what it is given, and leave nothing
behind?"""

from __future__ import annotations

import imaplib
import poplib
import ssl

import pytest

from tests.servers import mail
from tests.servers.dovecot import MISSING, Dovecot


def test_messages_keep_their_order_and_bytes(dovecot: Dovecot, user: str) -> None:
    given = [message for name, message in mail.strange().items() if "nul" not in name]
    dovecot.deliver(user, given)
    with imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"]) as client:
        client.login(user, dovecot.password)
        client.select("INBOX", readonly=True)
        replies = client.uid("FETCH", "1:*", "BODY.PEEK[]")[1]
    bodies = [reply[1] for reply in replies if isinstance(reply, tuple)]
    assert bodies == [message.replace(b"\n", b"\r\n") for message in given]
    assert dovecot.messages(user) == given
    assert set(dovecot.flags(user).values()) == {"new"}


def test_utf8_user_names_log_in_and_see_their_folders(dovecot: Dovecot) -> None:
    user = "пример@почта.рф"
    dovecot.deliver(user, [mail.message(1)], folder="Lists/one", flags="S")
    trust = ssl.create_default_context(cafile=str(dovecot.ca_file))
    with imaplib.IMAP4_SSL("localhost", dovecot.ports["imaps"], ssl_context=trust) as client:
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{dovecot.password}".encode())
        assert client.select("Lists.one") == ("OK", [b"1"])
    assert list(dovecot.flags(user, "Lists/one").values()) == ["S"]


def test_pop3_with_and_without_tls(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, mail.small(3))
    trust = ssl.create_default_context(cafile=str(dovecot.ca_file))
    plain = poplib.POP3("localhost", dovecot.ports["pop3"])
    plain.stls(trust)
    for client in (plain, poplib.POP3_SSL("localhost", dovecot.ports["pop3s"], context=trust)):
        client.user(user)
        client.pass_(dovecot.password)
        assert client.stat()[0] == 3
        client.quit()


def test_stopping_leaves_no_process_and_no_file() -> None:
    with Dovecot() as server:
        root, process = server.root, server._process
    assert process is not None
    assert process.poll() is not None
    assert not root.exists()


def test_a_missing_dovecot_fails_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="apt-get install dovecot-core"):
        Dovecot()
    assert "skip" not in MISSING
