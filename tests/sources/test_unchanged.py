"""Whether an account stands as it stood: what may be believed without a listing, and at what
cost."""

from __future__ import annotations

import imaplib

import pytest

from reconciler.sources.imap import ImapSource
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Scripted
from tests.sources import test_imap_dovecot as imap_dovecot
from tests.sources import test_pop3_dovecot as pop3_dovecot
from tests.sources.imap_server import Reply, imap, source
from tests.sources.pop3_scripts import listing_of, multiline, replies, source_of, speak


def selected(
    following: int = 6, exists: int = 3, validity: int = 77, changes: int = 9, more: bytes = b""
) -> bytes:
    return (
        b"* %d EXISTS\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] ok\r\n* OK [HIGHESTMODSEQ "
        b"%d] ok\r\n"
        b"%bTAG OK [READ-ONLY] done\r\n" % (exists, validity, following, changes, more)
    )


def listed(opened: ImapSource) -> str:
    """How the account stands, after a listing."""
    for _ in opened.listings(writable=False):
        pass
    opened.finish()
    return opened.account_state


def kept(*examined: bytes, **replies_: Reply) -> str:
    with Scripted(imap({"EXAMINE": examined, **replies_})) as server:
        return listed(source(server))


def unchanged(state: str, examined: bytes) -> bool:
    with Scripted(imap({"EXAMINE": examined})) as server:
        opened = source(server)
        found = opened.unchanged(state, writable=False)
        opened.finish()
        commands = [line.split(b" ", 1)[1] for line in server.lines]
    assert commands[-2:] == [b'EXAMINE "INBOX"', b"LOGOUT"]  # one round trip more than logging in
    return found


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (selected(), True),
        (selected(changes=12), True),  # flags
        (selected(following=7, exists=4), False),
        (selected(exists=2), False),
        (selected(following=7), False),  # one came, one went
        (selected(validity=78), False),
        (selected(changes=8), False),
        (selected(changes=8, following=5), False),
        (b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK done\r\n", False),
        (b"TAG NO no such folder\r\n", False),
    ],
    ids=[
        "same",
        "flags",
        "new",
        "expunged",
        "I13_one_came_and_one_went",
        "I9_validity",
        "I11_restored_from_a_backup",
        "I11_uidnext_went_back",
        "I28_no_uidnext",
        "refused",
    ],
)
def test_what_select_tells_decides(now: bytes, same: bool) -> None:
    assert unchanged(kept(selected()), now) is same


def test_I28_without_uidnext_nothing_is_kept() -> None:
    assert kept(b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK done\r\n") == ""


def test_what_arrives_during_the_listing_leaves_nothing_to_keep() -> None:
    assert kept(selected(exists=2)) == ""


def test_a_server_without_modseq_is_believed_too() -> None:
    plain = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n* OK [UIDNEXT 6] ok\r\nTAG OK done\r\n"
    assert unchanged(kept(plain), plain)


def test_every_folder_must_stand_still() -> None:
    folders = b'* LIST () "/" INBOX\r\n* LIST () "/" Sent\r\nTAG OK done\r\n'

    def state(*examined: bytes, old: str = "") -> str | bool:
        with Scripted(imap({"LIST": folders, "EXAMINE": examined})) as server:
            opened = source(server, folders=["INBOX", "Sent"])
            found = opened.unchanged(old, writable=False) if old else listed(opened)
            opened.finish()
            return found

    old = state(selected(), selected(validity=5))
    assert isinstance(old, str)
    assert state(selected(), selected(validity=5), old=old)
    assert not state(selected(), selected(validity=5, following=9, exists=4), old=old)


def test_a_listing_after_a_look_opens_the_folder_once() -> None:
    state = kept(selected())
    with Scripted(imap({"EXAMINE": selected(following=9)})) as server:
        opened = source(server)
        assert not opened.unchanged(state, writable=False)
        [listing] = opened.listings(writable=False)
        opened.finish()
    assert [found.key for found in listing.messages] == ["1", "2", "5"]
    assert sum(b"EXAMINE" in line for line in server.lines) == 1


def test_imap_against_dovecot(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(number) for number in range(3)])
    state = listed(imap_dovecot.opened(dovecot, user))

    def still() -> bool:
        opened = imap_dovecot.opened(dovecot, user)
        found = opened.unchanged(state, writable=False)
        opened.finish()
        return found

    assert still()
    with imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"]) as client:
        client.login(user, dovecot.password)
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Seen")
        assert still()
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
        assert not still()
        state = listed(imap_dovecot.opened(dovecot, user))
        assert still()
    dovecot.deliver(user, [mail.message(9)])
    assert not still()


def test_pop3_against_dovecot(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(number) for number in range(3)])
    opened = pop3_dovecot.opened(dovecot, user)
    listing_of(opened)
    state = opened.account_state
    opened.finish()
    for expected in (True, False):
        opened = pop3_dovecot.opened(dovecot, user)
        assert opened.unchanged(state, writable=True) is expected
        if not expected:
            assert len(listing_of(opened).messages) == 4
        opened.finish()
        dovecot.deliver(user, [mail.message(9)])


def test_pop3_asks_for_uidl_alone_after_the_login() -> None:
    with Scripted(speak(replies([b"a\r\n", b"bb\r\n"]))) as server:
        opened = source_of(server)
        listing_of(opened)
        opened.finish()
        server.lines.clear()
        again = source_of(server)
        assert again.unchanged(opened.account_state, writable=True)
        again.finish()
    assert [line.split(b" ")[0] for line in server.lines] == [b"CAPA", b"AUTH", b"UIDL", b"QUIT"]


@pytest.mark.parametrize(
    "uidls",
    [
        multiline(b"1 uid1"),
        multiline(b"1 uid2", b"2 uid1"),
        multiline(b"1 uid1", b"2 uid2", b"3 uid3"),
        b"-ERR no\r\n",
    ],
)
def test_pop3_any_other_answer_is_a_change(uidls: bytes) -> None:
    with Scripted(speak(replies([b"a\r\n", b"bb\r\n"]))) as server:
        opened = source_of(server)
        listing_of(opened)
        opened.finish()
    with Scripted(speak(replies([b"a\r\n", b"bb\r\n"], bent={b"UIDL": uidls}))) as server:
        again = source_of(server)
        assert not again.unchanged(opened.account_state, writable=True)
        again.finish()


def test_P8_P1_what_the_server_contradicts_itself_about_is_not_kept() -> None:
    for bent in ({b"LIST": multiline(b"1 3")}, {b"UIDL": b"-ERR what?\r\n"}):
        with Scripted(speak(replies([b"a\r\n", b"bb\r\n"], (b"USER",), bent))) as server:
            opened = source_of(server)
            listing_of(opened)
            assert opened.account_state == ""
            opened.finish()
