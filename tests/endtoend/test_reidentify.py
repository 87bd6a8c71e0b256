"""Servers that number their messages anew, accounts that become others: nothing lost, nothing
twice, and it is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.ledger import open_ledger
from reconciler.model.outcomes import SessionReport
from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import corpus, small, strange
from tests.servers.numbering import forget_indexes, new_validity, number, recreated, uidlist

TWICE = b"Subject: twice\nMessage-ID: <twice@example.org>\n\nthe same\n"
OTHER = b"Subject: twice\nMessage-ID: <twice@example.org>\n\nnot the same\n"
NEWER = b"Subject: newer\nMessage-ID: <newer@example.org>\n\nnew\n"
MAIL = [*strange().values(), *corpus(40)[22:], TWICE, *small(3, seed="more"), TWICE]
TOLD = "messages have other numbers than when they were collected"


def session(deployment: Deployment) -> SessionReport:
    deployment.once()
    ledger = open_ledger(f"sqlite:///{deployment.state}/ledger.sqlite3", create=False)
    [last] = ledger.sessions("sales", 1)
    ledger.close()
    assert last.listed == last.collected + last.skipped + last.parked + last.failed + last.left
    return last


def alike(messages: list[bytes]) -> list[bytes]:
    """POP3 gives every message a last line end."""
    return sorted(message.rstrip(b"\n") for message in messages)


def told(last: SessionReport, what: str = TOLD) -> bool:
    return any(what in note for note in last.notes)


def change(deployment: Deployment, old: str, new: str) -> None:
    path = deployment.manifests / "sales.yaml"
    deployment.write("sales", path.read_text().replace(old, new))


def deleting(deployment: Deployment) -> None:
    change(deployment, "collect: {", "collect: {mode: new-delete, ")


# -- the server numbers anew


@pytest.mark.parametrize("renumber", [new_validity, recreated, forget_indexes])
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_I9_P3_a_mailbox_numbered_anew_is_recognised(
    deployment: Deployment,
    dovecot: Dovecot,
    user: str,
    protocol: str,
    renumber: Callable[[Dovecot, str], None],
) -> None:
    dovecot.deliver(user, MAIL)
    deployment.declare("sales", user, protocol=protocol)
    assert session(deployment).collected == len(MAIL)
    renumber(dovecot, user)
    dovecot.deliver(user, [NEWER])
    last = session(deployment)
    assert (last.collected, last.skipped_reasons) == (1, {"collected-before": len(MAIL)})
    assert (
        told(last) or renumber is forget_indexes
    )  # Dovecot numbers by the clock then, perhaps as before
    if renumber is new_validity:
        assert TOLD in deployment.get()["sales"]["status"]["lastSession"]["notes"][0]
        assert TOLD in deployment.run("describe", "sales").stdout
        assert session(deployment).notes == ()
    deleting(deployment)
    assert session(deployment).deleted == len(MAIL) + 1
    assert alike(deployment.mail("sales")) == alike([*MAIL, NEWER])
    assert dovecot.messages(user) == []


def test_I9_the_limit_does_not_hold_up_new_mail(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    mail = small(600)
    dovecot.deliver(user, mail)
    deployment.declare("sales", user, limit=0)
    session(deployment)
    new_validity(dovecot, user)
    dovecot.deliver(user, [NEWER])
    deployment.declare("sales", user, limit=5)
    last = session(deployment)
    assert (last.collected, last.skipped, last.left) == (1, 600, 0)
    assert alike(deployment.mail("sales")) == alike([*mail, NEWER])


def test_I11_reused_uids_are_an_alarm_and_delete_nothing_that_was_not_collected(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, MAIL)
    deployment.declare("sales", user)
    session(deployment)
    validity, names = uidlist(dovecot, user)
    for name in names[:2]:
        next(dovecot.maildir(user).glob(f"*/{name.split(':')[0]}*")).unlink()
    added = dovecot.deliver(user, [NEWER])
    number(dovecot, user, validity, [*added, *names[:1:-1]])
    deleting(deployment)
    last = session(deployment)
    assert told(last, "numbered its messages anew without saying so")
    assert (last.collected, last.deleted) == (1, len(MAIL) - 1)
    assert alike(deployment.mail("sales")) == alike([*MAIL, NEWER])


# -- the account becomes another


def other_host(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    change(deployment, "host: localhost", "host: 127.0.0.1")


def other_port(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    for protocol in ("imap", "pop3"):
        change(
            deployment, f"port: {dovecot.ports[f'{protocol}s']}", f"port: {dovecot.ports[protocol]}"
        )
    change(deployment, "tls: implicit", "tls: starttls")


def other_user(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(f"{user}@moved", dovecot.messages(user)[::-1])
    change(deployment, f"username: {user}", f"username: {user}@moved")


def other_protocol(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    path = deployment.manifests / "sales.yaml"
    old, new = ("imap", "pop3") if "protocol: imap" in path.read_text() else ("pop3", "imap")
    change(deployment, f"protocol: {old}", f"protocol: {new}")
    change(deployment, f"port: {dovecot.ports[f'{old}s']}", f"port: {dovecot.ports[f'{new}s']}")


@pytest.mark.parametrize(
    ("protocol", "edit"),
    [
        ("imap", other_host),
        ("pop3", other_port),
        ("imap", other_user),
        ("pop3", other_user),
        ("imap", other_protocol),
        ("pop3", other_protocol),
    ],
)
def test_P15_Y18_an_edited_account_is_no_new_history(
    deployment: Deployment,
    dovecot: Dovecot,
    user: str,
    protocol: str,
    edit: Callable[[Deployment, Dovecot, str], None],
) -> None:
    dovecot.deliver(user, MAIL)
    deployment.declare("sales", user, protocol=protocol)
    session(deployment)
    edit(deployment, dovecot, user)
    checked = deployment.run(
        "check", "sales", "--manifests", str(deployment.manifests), "-o", "json"
    )
    assert "recognised by their headers" in checked.stdout
    last = session(deployment)
    assert told(last)
    assert (last.collected, last.skipped_reasons) == (0, {"collected-before": len(MAIL)})
    deleting(deployment)
    assert session(deployment).deleted == len(MAIL)
    assert alike(deployment.mail("sales")) == alike(MAIL)


def test_P15_from_pop3_to_imap_and_back_while_collecting(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, MAIL)
    deployment.declare("sales", user, protocol="pop3", limit=20)
    for _ in range(3):
        session(deployment)
        session(deployment)
        other_protocol(deployment, dovecot, user)
    assert alike(deployment.mail("sales")) == alike(MAIL)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_Y18_numbers_of_another_account_that_coincide_delete_nothing_that_was_not_collected(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    mail = [*small(5), TWICE]
    dovecot.deliver(user, mail)
    deployment.declare("sales", user, protocol=protocol)
    session(deployment)
    strangers = [*small(5, seed="stranger"), OTHER]
    names = dovecot.deliver(f"{user}-2", strangers)
    number(dovecot, f"{user}-2", uidlist(dovecot, user)[0], names)
    change(deployment, f"username: {user}", f"username: {user}-2")
    deleting(deployment)
    session(deployment)
    session(deployment)
    assert uidlist(dovecot, user)[0] == uidlist(dovecot, f"{user}-2")[0]
    assert alike(deployment.mail("sales")) == alike([*mail, *strangers])
    assert dovecot.messages(f"{user}-2") == []
    assert len(dovecot.messages(user)) == 6


def test_M12_Y18_two_identical_messages_are_two_and_equal_headers_are_not_equal_mail(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, [TWICE, TWICE])
    deployment.declare("sales", user)
    session(deployment)
    dovecot.deliver(f"{user}-2", [OTHER, TWICE, TWICE, TWICE])
    change(deployment, f"username: {user}", f"username: {user}-2")
    last = session(deployment)
    assert (last.collected, last.skipped_reasons) == (2, {"collected-before": 2})
    assert alike(deployment.mail("sales")) == alike([OTHER, TWICE, TWICE, TWICE])
