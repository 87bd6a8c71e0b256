"""Dovecot with a message that it cannot read, and one that became shorter: it says so, answers in
part, or hangs up."""

from __future__ import annotations

import imaplib
from pathlib import Path

import pytest

from reconciler.model.outcomes import Outcome
from tests.collect.accounts import Account, Mode
from tests.collect.test_poison import PROTOCOLS, Protocol
from tests.servers.dovecot import Dovecot

TEXTS = [
    f"Subject: message {number}\n\n{'some text of it, ' * 400}\nend of {number}\n".encode()
    for number in range(1, 6)
]


@pytest.mark.parametrize("mode", ["new-keep", "new-delete"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_unreadable_and_one_truncated_file(
    dovecot: Dovecot, user: str, tmp_path: Path, protocol: Protocol, mode: Mode
) -> None:
    names = dovecot.deliver(user, TEXTS)
    with imaplib.IMAP4(
        "127.0.0.1", dovecot.ports["imap"]
    ) as client:  # Dovecot remembers their sizes
        client.login(user, dovecot.password)
        client.select("INBOX", readonly=True)
        client.fetch("1:*", "(RFC822.SIZE)")
    files = {
        path.name.partition(":")[0]: path
        for place in ("new", "cur")
        for path in (dovecot.maildir(user) / place).iterdir()
    }
    unreadable, truncated = (files[name.partition(":")[0]] for name in (names[1], names[3]))
    unreadable.chmod(0)
    with truncated.open("r+b") as file:
        file.truncate(1000)
    account = Account(tmp_path, protocol, mode, user=user, secret=dovecot.password)
    reports = [account.session(dovecot.host, dovecot.ports[protocol]) for _ in range(8)]
    delivered = {text.replace(b"\r\n", b"\n") for text in account.delivered()}
    parked = account.parked()
    account.close()
    assert {TEXTS[0], TEXTS[2], TEXTS[4]} <= delivered
    assert (
        sum(report.collected for report in reports[:2]) == 4
    )  # what is left of the truncated one, too
    assert {report.outcome for report in reports} == {Outcome.SUCCEEDED}
    assert (reports[-1].parked, len(parked)) == (1, 1)
    assert any(path.name.startswith(unreadable.name) for path in dovecot.maildir(user).glob("*/*"))
