"""The IMAP source against a real server: bytes, flags, TLS, deletes."""

from __future__ import annotations

import imaplib
from typing import Any

import pytest

from reconciler.model.errors import AuthenticationFailed, TlsRefused
from reconciler.model.messages import Listing
from reconciler.sources.imap import ImapSource
from reconciler.wire.connection_limits import Limits
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Authority
from tests.sources.imap_server import collect, inbox, source_at

WAYS = [("none", "imap"), ("starttls", "imap"), ("implicit", "imaps")]


def opened(
    dovecot: Dovecot, user: str, tls: str = "implicit", password: str | None = None, **more: Any
) -> ImapSource:
    port = dovecot.ports["imaps" if tls == "implicit" else "imap"]
    trust = {} if tls == "none" or "fingerprint" in more else {"caFile": str(dovecot.ca_file)}
    return source_at(
        dovecot.host,
        port,
        password or dovecot.password,
        Limits(connect=20),
        **({"username": user, "tls": tls} | trust | more),
    )


def crlf(messages: list[bytes]) -> list[bytes]:
    return [message.replace(b"\n", b"\r\n") for message in messages]


def view(dovecot: Dovecot, user: str) -> list[bytes]:
    """Flags of every message as another client sees them without changing any."""
    with imaplib.IMAP4("127.0.0.1", dovecot.ports["imap"]) as client:
        client.login(user, dovecot.password)
        client.select("INBOX", readonly=True)
        return [line for line in client.fetch("1:*", "(FLAGS)")[1] if isinstance(line, bytes)]


@pytest.mark.parametrize(("tls", "port"), WAYS)
def test_every_strange_message_arrives_byte_for_byte(
    dovecot: Dovecot, user: str, tls: str, port: str
) -> None:
    given = list(mail.strange().values())
    dovecot.deliver(user, given)
    source = opened(dovecot, user, tls)
    listing = inbox(source)
    found = dict(
        zip(
            [found.listed.key for found in source.fetch(listing.folder, listing.messages)],
            collect(source, listing),
            strict=True,
        )
    )
    source.finish()
    assert [found[listed.key] for listed in listing.messages] == crlf(given)


def test_large_messages_come_in_parts(dovecot: Dovecot, user: str) -> None:
    given = [mail.message(1, 20_000_000), mail.message(2), b"Subject: n\n\n" + b"\0abc\n" * 500_000]
    dovecot.deliver(user, given)
    source = opened(dovecot, user, "none")
    assert collect(source, inbox(source)) == crlf(given)
    source.finish()


def test_a_message_whose_size_is_a_multiple_of_the_part_ends_where_it_ends(
    dovecot: Dovecot, user: str
) -> None:
    given = [b"Subject: x\r\n\r\n".ljust((2 << 20) - 2, b"x") + b"\r\n"]
    dovecot.deliver(user, given)
    source = opened(dovecot, user, "none")
    listing = inbox(source)
    assert listing.messages[0].size == 2 << 20
    assert collect(source, listing) == given
    source.finish()


def test_nul_in_a_message_with_encoded_parts_stays_as_imap_shows_it(
    dovecot: Dovecot, user: str
) -> None:
    given = (
        b"From: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\n\n1\0part\n"
        b"--b\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n"
    )
    dovecot.deliver(user, [given])
    source = opened(dovecot, user, "none")
    assert collect(source, inbox(source)) == crlf([given.replace(b"\0", b"\x80")])
    source.finish()


def test_reading_leaves_flags_and_recent_alone(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, mail.small(3))
    dovecot.deliver(user, mail.small(2, seed="seen"), flags="RS")
    before, files = view(dovecot, user), dovecot.flags(user)
    assert sum(b"Recent" in line for line in before) == 5
    assert sum(b"Seen" in line for line in before) == 2
    source = opened(dovecot, user)
    assert len(collect(source, inbox(source))) == 5
    source.finish()
    assert (view(dovecot, user), dovecot.flags(user)) == (before, files)


def test_listing_is_in_order_with_sizes(dovecot: Dovecot, user: str) -> None:
    given = mail.small(20)
    dovecot.deliver(user, given)
    source = opened(dovecot, user)
    listing = inbox(source)
    source.finish()
    assert [listed.key for listed in listing.messages] == [str(uid) for uid in range(1, 21)]
    assert [listed.size for listed in listing.messages] == [len(message) for message in crlf(given)]
    assert not listing.read_only
    assert listing.folder.validity


def test_I13_an_empty_folder_has_no_messages(dovecot: Dovecot, user: str) -> None:
    dovecot.create(user)
    source = opened(dovecot, user)
    assert inbox(source).messages == ()
    source.finish()


def test_deleting_takes_what_was_asked_for_and_nothing_else(dovecot: Dovecot, user: str) -> None:
    given = mail.small(6)
    dovecot.deliver(user, given[:4])
    dovecot.deliver(user, given[4:5], flags="T")  # marked as deleted by somebody else
    dovecot.deliver(user, given[5:])
    source = opened(dovecot, user)
    listing = inbox(source, writable=True)
    deletion = source.delete(
        listing.folder, [listing.messages[0], listing.messages[2], listing.messages[5]]
    )
    source.finish()
    assert deletion.confirmed == {"1", "3", "6"}
    assert (deletion.refused, deletion.pending) == ((), frozenset())
    assert dovecot.messages(user) == [given[1], given[3], given[4]]


def test_deleting_many_in_several_commands(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, mail.small(700))
    source = opened(dovecot, user, "none")
    listing = inbox(source, writable=True)
    odd = listing.messages[::2]
    assert source.delete(listing.folder, odd).confirmed == {listed.key for listed in odd}
    source.finish()
    assert len(dovecot.messages(user)) == 350


def test_I12_messages_expunged_by_others_have_vanished(dovecot: Dovecot, user: str) -> None:
    given = [*mail.small(4), mail.message(9, 1_500_000)]
    dovecot.deliver(user, given)
    source, other = opened(dovecot, user, "none"), opened(dovecot, user, "none")
    listing = inbox(source)
    theirs = inbox(other, writable=True)
    assert len(other.delete(theirs.folder, theirs.messages[1:3]).confirmed) == 2
    other.delete(theirs.folder, theirs.messages[4:])
    other.finish()
    found = {
        outcome.listed.key: type(outcome).__name__
        for outcome in source.fetch(listing.folder, listing.messages)
    }
    source.finish()
    assert found == {
        "1": "Arrival",
        "2": "Vanished",
        "3": "Vanished",
        "4": "Arrival",
        "5": "Vanished",
    }


def test_user_names_and_passwords_in_any_script(dovecot: Dovecot) -> None:
    user = "имя пользователя@почта.рф"
    dovecot.deliver(user, mail.small(1))
    source = opened(dovecot, user)
    assert len(inbox(source).messages) == 1
    source.finish()


def test_a_wrong_password_is_an_authentication_failure(dovecot: Dovecot, user: str) -> None:
    source = opened(dovecot, user, password="wrong-canary")
    with pytest.raises(AuthenticationFailed) as failure:
        inbox(source)
    source.abort()
    assert failure.value.certain
    assert "canary" not in str(failure.value)


def test_a_pinned_fingerprint_stands_for_the_certificate(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, mail.small(1))
    source = opened(dovecot, user, fingerprint=f"sha256:{dovecot.fingerprint}")
    assert len(inbox(source).messages) == 1
    source.finish()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_T6_another_key_than_the_pinned_one_is_refused(
    dovecot: Dovecot, user: str, tls: str
) -> None:
    source = opened(dovecot, user, tls, fingerprint="00" * 32)
    with pytest.raises(TlsRefused):
        inbox(source)
    source.abort()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_T5_a_foreign_ca_is_refused(dovecot: Dovecot, user: str, tls: str, tmp_path: Any) -> None:
    source = opened(dovecot, user, tls, caFile=Authority(tmp_path).ca_file)
    with pytest.raises(TlsRefused):
        inbox(source)
    source.abort()


def folders(listings: list[Listing]) -> dict[str, int]:
    return {listing.folder.name: len(listing.messages) for listing in listings}


def test_I30_folders_by_name_and_pattern_whatever_the_delimiter(
    dovecot: Dovecot, user: str
) -> None:
    for number, folder in enumerate(
        ["INBOX", "Lists/one", "Lists/two", "Lists/two/deep", "&BB8EMAQ,BDoEMA-"]
    ):
        dovecot.deliver(user, mail.small(number + 1), folder)
    source = opened(dovecot, user, "none", folders=["INBOX", "Lists/*", "Папка"])
    listings = list(source.listings(writable=False))
    assert folders(listings) == {
        "INBOX": 1,
        "Lists/one": 2,
        "Lists/two": 3,
        "Lists/two/deep": 4,
        "Папка": 5,
    }
    for listing in listings:
        assert len(collect(source, listing)) == len(listing.messages)
    source.finish()


def test_a_percent_sign_stays_on_its_level(dovecot: Dovecot, user: str) -> None:
    for folder in ["INBOX", "Lists/one", "Lists/two/deep"]:
        dovecot.deliver(user, mail.small(1), folder)
    source = opened(dovecot, user, "none", folders=["Lists/%", "nowhere"])
    listings = list(source.listings(writable=False))
    source.finish()
    assert folders(listings) == {"Lists/one": 1}
    assert listings[0].notes == ('there is no folder "nowhere"',)


def test_deleting_in_several_folders(dovecot: Dovecot, user: str) -> None:
    for folder in ["INBOX", "a"]:
        dovecot.deliver(user, mail.small(3), folder)
    source = opened(dovecot, user, "none", folders=["INBOX", "a"])
    for listing in list(source.listings(writable=True)):
        assert len(source.delete(listing.folder, listing.messages[:2]).confirmed) == 2
    source.finish()
    assert len(dovecot.messages(user)) == len(dovecot.messages(user, "a")) == 1
