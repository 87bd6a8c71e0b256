"""The POP3 source against a real server: bytes, TLS, deletes, flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.errors import AuthenticationFailed, TlsRefused
from reconciler.model.messages import Deletion, Vanished
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.pop3 import Pop3Source, open_pop3
from reconciler.wire.connection_limits import Limits
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Authority
from tests.sources.pop3_scripts import fetch_all, listing_of

WAYS = ["none", "starttls", "implicit"]


def opened(
    dovecot: Dovecot,
    user: str,
    tls: str = "implicit",
    password: str | None = None,
    **declared: object,
) -> Pop3Source:
    port = dovecot.ports["pop3s" if tls == "implicit" else "pop3"]
    trust = {} if "fingerprint" in declared else {"caFile": str(dovecot.ca_file)}
    spec = SourceSpec.model_validate(
        {
            "protocol": "pop3",
            "host": dovecot.host,
            "port": port,
            "tls": tls,
            "username": user,
            "password": {"env": "UNUSED"},
            **trust,
            **declared,
        }
    )
    return open_pop3(spec, Secret(password or dovecot.password), Limits())


def as_sent(message: bytes) -> bytes:
    """CRLF line ends, also at the end of the last line: POP3 cannot say that there was none."""
    return (message if message.endswith(b"\n") else message + b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("tls", WAYS)
def test_every_strange_message_arrives_byte_for_byte(dovecot: Dovecot, user: str, tls: str) -> None:
    given = list(mail.strange().values())
    dovecot.deliver(user, given)
    source = opened(dovecot, user, tls)
    assert list(fetch_all(source, listing_of(source)).values()) == [
        as_sent(message) for message in given
    ]
    source.finish()


@pytest.mark.parametrize("tls", ["none", "implicit"])
def test_many_and_large_messages_are_streamed(dovecot: Dovecot, user: str, tls: str) -> None:
    given = [
        mail.message(number, 20_000_000 if number == 50 else 300 * number) for number in range(300)
    ]
    dovecot.deliver(user, given)
    source = opened(dovecot, user, tls)
    listing = listing_of(source)
    assert [message.size for message in listing.messages] == [
        len(as_sent(message)) for message in given
    ]
    arrived = fetch_all(source, listing)
    assert list(arrived.values()) == [as_sent(message) for message in given]
    source.finish()


def test_new_keep_leaves_the_messages(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(1)])
    for _ in range(2):
        source = opened(dovecot, user)
        listing = listing_of(source)
        assert len(fetch_all(source, listing)) == 1
        assert source.finish() == Deletion()
    assert len(dovecot.messages(user)) == 1


def test_deleted_messages_are_gone_after_finish_and_not_before(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(number) for number in range(10)])
    source = opened(dovecot, user)
    listing = listing_of(source)
    first = frozenset(message.key for message in listing.messages[:6])
    assert source.delete(listing.folder, listing.messages[:6]).pending == first
    assert len(dovecot.messages(user)) == 10
    assert source.finish().confirmed == first
    assert dovecot.messages(user) == [mail.message(number) for number in range(6, 10)]


def test_P10_deletes_of_a_broken_session_roll_back(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(1)])
    source = opened(dovecot, user)
    listing = listing_of(source)
    source.delete(listing.folder, listing.messages)
    source.abort()
    assert len(dovecot.messages(user)) == 1


def test_keys_stay_from_session_to_session(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, [mail.message(number) for number in range(5)])
    source = opened(dovecot, user)
    before = listing_of(source)
    source.delete(before.folder, before.messages[:2])
    source.finish()
    source = opened(dovecot, user)
    after = listing_of(source)
    source.finish()
    assert after.messages == before.messages[2:]
    assert after.keys_stable


def test_an_empty_mailbox(dovecot: Dovecot, user: str) -> None:
    dovecot.create(user)
    source = opened(dovecot, user)
    assert listing_of(source).messages == ()
    assert source.finish() == Deletion()


@pytest.mark.parametrize("tls", WAYS)
def test_P11_a_wrong_password_is_an_authentication_failure(
    dovecot: Dovecot, user: str, tls: str
) -> None:
    source = opened(dovecot, user, tls, password="wrong-canary")
    with pytest.raises(AuthenticationFailed) as caught:
        listing_of(source)
    source.abort()
    assert caught.value.certain, "Dovecot says [AUTH]"
    assert "wrong-canary" not in str(caught.value)


def test_names_in_any_script(dovecot: Dovecot) -> None:
    dovecot.deliver("пример@почта.рф", [mail.message(1)])
    source = opened(dovecot, "пример@почта.рф")
    assert len(listing_of(source).messages) == 1
    source.finish()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_T5_a_foreign_ca_is_refused(dovecot: Dovecot, user: str, tls: str, tmp_path: Path) -> None:
    source = opened(dovecot, user, tls, caFile=Authority(tmp_path).ca_file)
    with pytest.raises(TlsRefused, match="not known here"):
        listing_of(source)
    source.abort()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_T6_the_pinned_certificate(dovecot: Dovecot, user: str, tls: str) -> None:
    dovecot.create(user)
    source = opened(dovecot, user, tls, host="127.0.0.1", fingerprint=dovecot.fingerprint)
    assert listing_of(source).messages == ()
    source.finish()
    source = opened(dovecot, user, tls, fingerprint="00" * 32)
    with pytest.raises(TlsRefused, match="fingerprint is now sha256:" + dovecot.fingerprint):
        listing_of(source)
    source.abort()


def test_a_message_that_somebody_expunges_meanwhile_disturbs_nobody(
    dovecot: Dovecot, user: str
) -> None:
    names = dovecot.deliver(user, [mail.message(number) for number in range(3)])
    source = opened(dovecot, user)
    listing = listing_of(source)
    [gone] = dovecot.maildir(user).glob(f"*/{names[1]}*")
    gone.unlink()
    fetched = fetch_all(source, listing)
    assert [type(each) for each in fetched.values()] == [bytes, Vanished, bytes]
    source.abort()
