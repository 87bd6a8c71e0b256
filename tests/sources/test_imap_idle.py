"""IDLE: what counts as new mail, what ends it, and that nothing blocks once it has begun."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable
from typing import Any

import pytest
from imapclient import IMAPClient

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ProtocolViolation,
    SourceError,
    SourceUnsuitable,
)
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap.idle import ImapPush, open_push
from reconciler.wire.connection_limits import Limits
from reconciler.wire.push_transcripts import PushTranscript, PushTranscripts
from tests.servers import mail
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import PASSWORD, Reply, imap
from tests.sources.said import said

CAPABLE: dict[str, Reply] = {"CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\nTAG OK done\r\n"}


def push_at(
    port: int,
    host: str = "127.0.0.1",
    password: str = PASSWORD,
    transcript: PushTranscript | None = None,
    **declared: Any,
) -> ImapPush:
    spec = {
        "protocol": "imap",
        "host": host,
        "port": port,
        "tls": "none",
        "username": "user",
        "password": {"env": "UNUSED"},
    }
    return open_push(
        SourceSpec.model_validate(spec | declared),
        Secret(password),
        Limits(),
        transcript=transcript,
    )


def waits(push: ImapPush) -> bool:
    """What `take` says when something has come."""
    with selectors.DefaultSelector() as selector:
        selector.register(push.fileno(), selectors.EVENT_READ)
        assert selector.select(20), "nothing came"
    return push.take()


def renewed(push: ImapPush) -> bool:
    """Whether there was news until the server had agreed again."""
    push.renew()
    news = False
    while not push.listening:
        news |= waits(push)
    return news


def idle(*said: bytes, first: bytes = b"+ idling\r\n") -> Callable[[Client, bytes], None]:
    """Agree, then say each of `said` after a DONE; a DONE is answered and IDLE agreed to again."""

    def reply(client: Client, line: bytes) -> None:
        client.send(first + (said[0] if said else b""))
        for words in said[1:]:
            assert client.line() == b"DONE"
            client.send(b"IDLE OK done\r\n")
            assert client.line() == b"IDLE IDLE"
            client.send(b"+ idling\r\n" + words)
        client.wait()

    return reply


def begun(server: Scripted, **declared: Any) -> ImapPush:
    push = push_at(server.port, **declared)
    push.begin()
    assert push.listening
    return push


@pytest.mark.parametrize(
    ("said", "news"),
    [
        (b"* 4 EXISTS\r\n", True),
        (b"* 3 EXISTS\r\n", False),
        (b"* 2 EXPUNGE\r\n* 2 EXISTS\r\n", False),
        (b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n", True),
        (b"* OK Still here\r\n", False),
        (b"* 1 FETCH (FLAGS (\\Seen))\r\n* 1 RECENT\r\n", False),
    ],
)
def test_more_messages_than_before_are_news_and_nothing_else_is(said: bytes, news: bool) -> None:
    with Scripted(imap(CAPABLE | {"IDLE": idle(b"", said, b"* OK done\r\n")})) as server:
        push = begun(server)
        found = any([renewed(push), renewed(push)])
        push.close()
    assert found is news


def test_what_comes_with_the_agreement_is_not_missed() -> None:
    with Scripted(
        imap(CAPABLE | {"IDLE": idle(b"* 4 EXISTS\r\n", first=b"* 3 EXISTS\r\n+ idling\r\n")})
    ) as server:
        push = begun(server)
        assert push.take() or waits(push)
        push.close()


def test_I18_a_flood_leaves_the_thread_to_others() -> None:
    """All connections that wait share one: each takes a little at once."""
    said = b"* 4 EXISTS\r\n" * 15_000
    with Scripted(imap(CAPABLE | {"IDLE": idle(said)})) as server:
        push = begun(server)
        octets, most = push._octets, 0
        while push._octets < len(said):
            waits(push)
            most, octets = max(most, push._octets - octets), push._octets
        push.close()
    assert most <= 16 << 10


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"* BYE going down\r\n", ConnectionFailed),
        (b"IDLE OK enough\r\n", ConnectionFailed),
        (b"IDLE BAD what?\r\n", ConnectionFailed),
        (b"+ more?\r\n", ProtocolViolation),
        (b"x" * 70_000, ProtocolViolation),
        (b"* OK so much to say\r\n" * 60_000, ProtocolViolation),
    ],
    ids=["bye", "ended", "refused", "asks", "I20_endless_line", "I18_flood"],
)
def test_what_ends_it(said: bytes, error: type[SourceError]) -> None:
    with Scripted(imap(CAPABLE | {"IDLE": idle(said)})) as server:
        push = push_at(server.port)

        def listen() -> None:
            push.begin()
            while not waits(push):
                continue

        with pytest.raises(error):
            listen()
        push.abort()
        push.close()


def test_I19_a_server_that_hangs_up_or_does_not_answer_is_noticed() -> None:
    def hang_up(client: Client, line: bytes) -> None:
        client.send(b"+ idling\r\n")
        client.close()

    with Scripted(imap(CAPABLE | {"IDLE": hang_up})) as server:
        push = begun(server)
        with pytest.raises(ConnectionFailed):
            waits(push)
        push.close()
    with Scripted(imap(CAPABLE | {"IDLE": idle(b"")})) as server:
        push = begun(server)
        push.renew()
        assert not push.take()
        assert not push.listening
        push.close()


def test_a_server_without_idle_is_unsuitable_and_a_refused_login_is_told_apart() -> None:
    with Scripted(imap()) as server:
        push = push_at(server.port)
        with pytest.raises(SourceUnsuitable, match="does not offer IDLE"):
            push.begin()
        push.close()
    with Scripted(imap(CAPABLE | {"LOGIN": b"TAG NO [AUTHENTICATIONFAILED] no\r\n"})) as server:
        push = push_at(server.port)
        with pytest.raises(AuthenticationFailed):
            push.begin()
        push.close()
    assert all(line.partition(b" ")[2] != b"IDLE" for line in server.lines)


def test_the_first_folder_is_listened_to() -> None:
    folders = b'* LIST () "." INBOX\r\n* LIST () "." Lists.News\r\nTAG OK done\r\n'
    with Scripted(imap(CAPABLE | {"LIST": folders, "IDLE": idle()})) as server:
        begun(server, folders=["Lists/*", "INBOX"]).close()
    assert any(b'EXAMINE "Lists.News"' in line for line in server.lines)


SEVERAL: dict[str, Reply] = CAPABLE | {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE NOTIFY\r\nTAG OK done\r\n",
    "LIST": (
        b'* LIST () "/" INBOX\r\n* LIST () "/" "A \\"b\\""\r\n* LIST () "/" C\r\nTAG OK done\r\n'
    ),
    "NOTIFY": b"TAG OK done\r\n",
}
STATUS = b'* STATUS "A \\"b\\"" (MESSAGES %d UIDNEXT %d UIDVALIDITY 1)\r\n'


@pytest.mark.parametrize(
    ("said", "news"),
    [
        ([STATUS % (1, 2)], [True]),
        ([STATUS % (1, 2), STATUS % (0, 2), STATUS % (1, 3)], [True, False, True]),
        (
            [
                STATUS % (1, 2),
                b"* STATUS {1}\r\nC (MESSAGES 1 UIDNEXT 2)\r\n",
                b"* STATUS {1}\r\nC (UIDNEXT 2)\r\n",
            ],
            [True, True, False],
        ),
        ([b"* STATUS C (MESSAGES 4)\r\n", b"* STATUS C (MESSAGES 3)\r\n"], [True, True]),
    ],
    ids=["new", "expunged", "literals", "no_uidnext"],
)
def test_with_notify_new_mail_in_other_folders_is_news_and_mail_that_went_is_not(
    said: list[bytes], news: list[bool]
) -> None:
    with Scripted(imap(SEVERAL | {"IDLE": idle(b"", *said, b"")})) as server:
        push = begun(server, folders=["INBOX", "*"])
        found = [renewed(push) for _ in range(len(said) + 1)]
        push.close()
    asked = next(line for line in server.lines if b"NOTIFY SET" in line)
    assert asked.endswith(b'(mailboxes ("A \\"b\\"" "C") (MessageNew MessageExpunge))')
    assert sum(found) == sum(news)


@pytest.mark.parametrize("answer", [b"TAG NO [BADEVENT] what?\r\n", b"TAG BAD what?\r\n"])
def test_where_notify_is_refused_the_first_folder_is_listened_to(answer: bytes) -> None:
    with Scripted(
        imap(SEVERAL | {"NOTIFY": answer, "IDLE": idle(b"", b"* 4 EXISTS\r\n", b"")})
    ) as server:
        push = begun(server, folders=["INBOX", "C"])
        assert any([renewed(push), renewed(push)])
        push.close()


def test_a_server_that_tells_no_more_is_left() -> None:
    said = b"* OK [NOTIFICATIONOVERFLOW] too much\r\n"
    with Scripted(imap(SEVERAL | {"IDLE": idle(said)})) as server:
        push = push_at(server.port, folders=["INBOX", "C"])

        def listen() -> None:
            push.begin()
            while not waits(push):
                continue

        with pytest.raises(ConnectionFailed, match="too much to tell"):
            listen()
        push.close()


def test_dovecot_tells_of_new_mail_in_every_folder(dovecot: Dovecot, user: str) -> None:
    for folder in ("INBOX", "Lists.An old one", "Other"):
        dovecot.create(user, folder)
    push = push_at(
        dovecot.ports["imap"],
        dovecot.host,
        dovecot.password,
        username=user,
        folders=["INBOX", "Lists/*", "Other"],
    )
    with IMAPClient(dovecot.host, dovecot.ports["imap"], ssl=False) as other:
        other.login(user, dovecot.password)
        push.begin()
        for folder in ("Other", "Lists.An old one", "INBOX"):
            other.append(folder, mail.message(1))
            while not waits(push):
                continue
    push.close()


@pytest.mark.parametrize(
    ("tls", "port"), [("none", "imap"), ("starttls", "imap"), ("implicit", "imaps")]
)
def test_dovecot_tells_of_new_mail_and_of_nothing_else(
    dovecot: Dovecot, user: str, tls: str, port: str
) -> None:
    dovecot.deliver(user, [mail.message(1)])
    trust: dict[str, Any] = {} if tls == "none" else {"caFile": str(dovecot.ca_file)}
    push = push_at(
        dovecot.ports[port], dovecot.host, dovecot.password, username=user, tls=tls, **trust
    )
    push.begin()
    assert not push.take()
    dovecot.deliver(user, [mail.message(2)])
    while not waits(push):
        continue
    push.renew()
    while not push.listening:
        waits(push)
    dovecot.deliver(user, [mail.message(3)])
    while not waits(push):
        continue
    push.close()


def test_S1_of_words_during_idle_only_their_length_is_kept_however_they_are_read() -> None:
    go_on = threading.Event()

    def reply(client: Client, _: bytes) -> None:
        client.send(b"+ idling\r\n* OK you are " + PASSWORD[:4].encode())
        assert go_on.wait(120)
        client.send(PASSWORD[4:].encode() + b"\r\n* 4 EXISTS\r\n" + PASSWORD.encode())
        client.wait()

    with Scripted(imap(CAPABLE | {"IDLE": reply})) as server:
        transcript = PushTranscripts().begin()
        push = push_at(server.port, transcript=transcript)
        push.begin()
        go_on.set()
        while not waits(push):
            pass
        lines = said(transcript)
        push.close()
    assert lines[-4:] == ["> IDLE IDLE", "< + idling", "< * OK [17 bytes]", "< * 4 EXISTS"]
    assert "> C1 LOGIN [redacted]" in lines
