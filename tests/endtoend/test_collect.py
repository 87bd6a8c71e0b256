"""Real mail from a real server into a Maildir, byte for byte, as each mode says."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from tests.endtoend.accounting import assert_adds_up
from tests.endtoend.deployment import Deployment, Tls
from tests.servers.dovecot import Dovecot
from tests.servers.mail import corpus, small, strange

WAYS: list[tuple[str, Tls]] = [
    (protocol, tls) for protocol in ("imap", "pop3") for tls in ("implicit", "starttls", "none")
]


def as_sent(stored: Iterable[bytes], protocol: str) -> list[bytes]:
    """What these messages are when they arrive, sorted. POP3 knows lines only, so the last one gets
    its end (RFC 1939, section 3)."""
    return sorted(
        text + b"\n" if protocol == "pop3" and not text.endswith(b"\n") else text for text in stored
    )


@pytest.mark.parametrize(("protocol", "tls"), WAYS)
def test_three_hundred_messages_arrive_byte_for_byte_in_three_sessions(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str, tls: Tls
) -> None:
    dovecot.deliver(user, corpus(300, huge=True), flags="S")
    before = dovecot.flags(user)
    deployment.declare("sales", user, protocol=protocol, tls=tls)
    for session in range(3):
        deployment.once()
        last = deployment.get()["sales"]["status"]["lastSession"]
        assert_adds_up(last)
        assert (last["listed"], last["collected"], last["left"]) == (300, 100, 200 - 100 * session)
        assert last["skippedReasons"] == ({"collected-before": 100 * session} if session else {})
    stored = as_sent(dovecot.messages(user), protocol)
    assert deployment.mail("sales") == stored
    assert dovecot.flags(user) == before
    totals = deployment.get()["sales"]["status"]["totals"]
    assert totals == {
        "sessions": 3,
        "collected": 300,
        "failed": 0,
        "deleted": 0,
        "bytes": sum(map(len, stored)),
    }


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mode", ["new-delete", "all-delete"])
def test_deleting_modes_empty_the_mailbox_and_collect_nothing_twice(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str, mode: str
) -> None:
    dovecot.deliver(user, corpus(60))
    stored = as_sent(dovecot.messages(user), protocol)
    deployment.declare("sales", user, protocol=protocol, mode=mode, limit=40)
    for _ in range(3):
        deployment.once()
        assert_adds_up(deployment.get()["sales"]["status"]["lastSession"])
    assert dovecot.messages(user) == []
    assert deployment.mail("sales") == stored
    assert deployment.get()["sales"]["status"]["totals"]["deleted"] == 60


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_change_of_mode_deletes_what_was_collected_and_all_delete_collects_it_again(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    dovecot.deliver(user, small(5))
    stored = sorted(dovecot.messages(user))
    deployment.declare("sales", user, protocol=protocol)
    deployment.once()
    dovecot.deliver(user, [b"Subject: newer\n\n\n"])
    deployment.declare("sales", user, protocol=protocol, mode="new-delete", limit=1)
    deployment.once()
    assert dovecot.messages(user) == []
    assert deployment.mail("sales") == sorted([*stored, b"Subject: newer\n\n\n"])

    dovecot.deliver(user, small(5, seed="again"))
    deployment.declare("sales", user, protocol=protocol)
    deployment.once()
    deployment.declare("sales", user, protocol=protocol, mode="all-delete")
    deployment.once()
    again = [message for message in deployment.mail("sales") if b"again" in message]
    assert (len(again), len(set(again)), dovecot.messages(user)) == (10, 5, [])


def test_folders_of_one_account_share_the_limit(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    dovecot.deliver(user, small(4, seed="lists"), folder="Lists/python")
    path = deployment.declare("sales", user, limit=5)
    deployment.write(
        "sales", path.read_text().replace("    tls:", '    folders: [INBOX, "Lists/*"]\n    tls:')
    )
    deployment.once()
    first = deployment.get()["sales"]["status"]["lastSession"]
    deployment.once()
    assert (first["listed"], first["collected"], first["left"]) == (7, 5, 2)
    assert deployment.mail("sales") == sorted([*small(3), *small(4, seed="lists")])


def test_M13_too_large_stays_on_the_server_and_is_told(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, [*small(2), b"Subject: large\n\n" + b"x" * 5000 + b"\n"])
    deployment.declare("sales", user, mode="all-delete", maxMessageSize="2KiB")
    deployment.once()
    last = deployment.get()["sales"]["status"]["lastSession"]
    assert_adds_up(last)
    assert (last["collected"], last["skippedReasons"], last["deleted"]) == (2, {"too-large": 1}, 2)
    assert len(dovecot.messages(user)) == 1


def test_without_a_destination_mail_goes_below_the_state_directory(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(2))
    deployment.remove("destination")
    deployment.declare("sales", user, to="sales@икс.рф")
    deployment.once()
    assert len(list((deployment.state / "mail" / "sales@икс.рф" / "new").iterdir())) == 2


def test_clear_makes_everything_new_and_collect_fetches_it(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, list(strange().values()))
    stored = as_sent(dovecot.messages(user), "pop3")
    deployment.declare("sales", user, protocol="pop3")
    manifests = ("--manifests", str(deployment.manifests))
    deployment.run("collect", "sales", *manifests)
    deployment.run("collect", "sales", *manifests)
    assert deployment.mail("sales") == stored
    deployment.run("clear", "sales", "--yes", *manifests)
    assert "collected 22" in deployment.run("collect", "sales", *manifests).stdout
    assert deployment.mail("sales") == sorted([*stored, *stored])


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_check_tells_what_a_first_session_would_do_and_changes_nothing(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    dovecot.deliver(user, small(7))
    before = dovecot.flags(user)
    deployment.declare("sales", user, protocol=protocol, mode="new-delete", limit=5)
    report = json.loads(deployment.run("check", "sales", "-o", "json").stdout)
    assert report["ok"]
    assert report["folders"][0]["messages"] == 7
    assert "collect 5 of 7" in report["firstSession"]
    assert {flags.replace("new", "") for flags in dovecot.flags(user).values()} == {""}
    assert (
        protocol == "pop3" or dovecot.flags(user) == before
    )  # over POP3 Dovecot takes \\Recent away at login
    assert not deployment.maildir("sales").exists()
