"""What servers of the field say instead of what the grammar says, and what stays forbidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.errors import ProtocolViolation, TlsRefused
from reconciler.sources.imap.folder_choice import decoded, parse_list
from reconciler.sources.imap.response_reader import MOST_LITERALS, code
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.imap_server import (
    BODIES,
    GREETING,
    Reply,
    collect,
    fetched,
    imap,
    inbox,
    sizes,
    source,
    tagged,
)

OK = b"TAG OK done\r\n"
ALL = list(BODIES.values())
BATCH = "UID FETCH 1:2,5 "
EVERY = b"".join(fetched(uid, body) for uid, body in BODIES.items())
SELECTED = (
    b"* 3 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n* OK [UIDNEXT 6] next\r\nTAG OK [READ-ONLY] "
    b"done\r\n"
)


def collected(
    replies: dict[str, Reply], greeting: bytes = GREETING, limits: Limits | None = None
) -> list[bytes | str]:
    usual: dict[str, Reply] = {"EXAMINE": SELECTED, BATCH: EVERY + OK}
    with Scripted(imap(usual | replies, greeting)) as server:
        opened = source(server, limits)
        try:
            listing = inbox(opened)
            assert (listing.folder.validity, listing.next_key) == (77, 6)
            return collect(opened, listing)
        finally:
            opened.finish()
            opened.abort()


@pytest.mark.parametrize(
    "selected",
    [
        SELECTED.replace(b"* 3 EXISTS", b"*  3 EXISTS"),
        SELECTED.replace(b"3 EXISTS", b"3  exists  "),
        SELECTED.replace(b"* 3 EXISTS", b"* 3 EXISTS\r\n\r\n"),
        SELECTED.replace(b"TAG OK [READ-ONLY] done", b"TAG OK"),
        SELECTED.replace(b"TAG OK [READ-ONLY] done", b"TAG  ok  [READ-ONLY]"),
        SELECTED.replace(b"\r\n", b"\n"),
        SELECTED.replace(b"* OK [UIDVALIDITY 77] ok", b"* OK [uidvalidity  77 ]"),
        SELECTED.replace(b"* OK [UIDNEXT 6] next", b"* ok [UIDNEXT 6]"),
        b"\r\n" + SELECTED,
        SELECTED.replace(b"77] ok", b"77] [192.0.2.1] is] here"),
        (
            b"* 9 EXISTS\r\n* 1 EXPUNGE\r\n* FLAGS (\\Seen)\r\n* X-UNHEARD-OF (a {b) ]\r\n* "
            b"SEARCH\r\n* 5 X\r\n"
        )
        + SELECTED,
        (
            b'* BAD what was that?\r\n* NO [ALERT] disk nearly full\r\n* OK\r\n* STATUS "x" '
            b"(MESSAGES 1)\r\n"
        )
        + SELECTED,
        (
            b'* LIST () "/" {3}\r\na\r\n\r\n* ID NIL\r\n* CAPABILITY IMAP4rev1\r\n* 1 FETCH '
            b"(FLAGS (\\Seen))\r\n"
        )
        + SELECTED,
        b"* FLAGS (" + b"keyword " * 2000 + b")\r\n" + SELECTED,
    ],
)
def test_a_folder_is_opened_however_it_is_told(selected: bytes) -> None:
    assert collected({"EXAMINE": selected}) == ALL


@pytest.mark.parametrize(
    "answer",
    [
        EVERY.replace(b"* 1 FETCH (UID", b"*  1 fetch  (uid"),
        EVERY.replace(b" {", b" ~{"),
        EVERY.replace(b"}\r\n", b"+}\r\n"),
        EVERY.replace(b")\r\n", b") \r\n"),
        EVERY.replace(b")\r\n", b"\r\n)\r\n"),
        EVERY.replace(b")\r\n", b")\r\n\r\n"),
        EVERY.replace(b")\r\n", b")\n"),
        EVERY.replace(b"(UID", b"( UID").replace(b")\r\n", b" )\r\n"),
        EVERY.replace(
            b"(UID", b'(X-SOMETHING (a (b) NIL) FLAGS () INTERNALDATE "1-Jan-2026" MODSEQ (5) UID'
        ),
        b"".join(
            b"* 1 FETCH (BODY[] {%d}\r\n%s UID %d)\r\n" % (len(body), body, uid)
            for uid, body in BODIES.items()
        ),
        b"* 7 EXISTS\r\n* OK still here\r\n"
        + EVERY.replace(b"* 2 FETCH", b"* 9 EXPUNGE\r\n* 2 FETCH")
        + b"* 1 RECENT\r\n",
        EVERY + b"* 2 FETCH (FLAGS (\\Seen {))\r\n",
    ],
)
def test_messages_come_however_they_are_sent(answer: bytes) -> None:
    assert collected({BATCH: answer + OK}) == ALL
    assert collected({BATCH: answer + b"TAG OK\r\n"}) == ALL


@pytest.mark.parametrize(
    "listed",
    [
        (
            b"*  1 FETCH (UID 1 RFC822.SIZE 23)\r\n*  2 FETCH (RFC822.SIZE 24 UID 2)\r\n"
            b"* 3 FETCH ( UID 5  RFC822.SIZE 21 ) \r\n"
        ),
        (
            b"* 1 fetch (uid 1 rfc822.size 23)\n* 2 FETCH (UID 2 FLAGS (\\Seen) RFC822.SIZE 24)\n"
            b"* 3 FETCH (UID 5 RFC822.SIZE 21)\n"
        ),
    ],
)
def test_a_listing_comes_however_it_is_written(listed: bytes) -> None:
    assert collected({"UID FETCH 1:*": listed + OK}) == ALL


@pytest.mark.parametrize(
    "greeting",
    [
        b"* OK\r\n",
        b"*  OK  ready \r\n",
        b"* ok ready\n",
        b"\r\n* OK ready\r\n",
        b"* OK [CAPABILITY IMAP4rev1]\r\n",
        b"* OK [CAPABILITY  imap4rev1  ] hello [you]\r\n",
        b"* OK [NETWORKMESSAGE x] hi\r\n",
        b"* OK [CAPABILITY IMAP4rev2] new\r\n",
        b"* CAPABILITY IMAP4rev1\r\n",
    ],
)
def test_greetings(greeting: bytes) -> None:
    if greeting.startswith(b"* CAP"):
        with pytest.raises(ProtocolViolation, match="does not greet as IMAP"):
            collected({}, greeting)
    else:
        assert collected({}, greeting) == ALL


@pytest.mark.parametrize(
    "banner",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"-ERR unknown command\r\n",
        b"220 inner.example ESMTP\r\n",
        b"* secret\r\n",
        b"+OK POP3\r\n",
        b"J\0\0\0\n5.5.5-10.11 inner\r\n",
    ],
)
def test_W4_what_is_no_mail_server_is_not_quoted(banner: bytes) -> None:
    """A manifest may name any host and port: what answers there is nobody's business."""
    with Scripted(imap(greeting=banner)) as server:
        opened = source(server)
        with pytest.raises(ProtocolViolation) as failure:
            inbox(opened)
        opened.abort()
    assert not any(
        word.decode("latin-1") in str(failure.value) for word in banner.split() if len(word) > 5
    )


@pytest.mark.parametrize(
    "answer",
    [
        EVERY.replace(b"{23}", b"{22}"),
        EVERY.replace(b"{23}", b"{24}"),
        b"OTHER OK done\r\n",
        b"tag1 OK done\r\n",
        EVERY.replace(b"{23}", b"{ 23}"),
        b"* 1 FETCH (UID 1 BODY[] {3}\r\nabcd\r\n\r\n)\r\n",
        EVERY.replace(b"{23}", b"{21}"),
        EVERY.replace(b"{23}", b"{22}").replace(b")\r\n", b"\r\n)\r\n"),
        b"* 1 FETCH (UID 1 X " + b"{0}\r\n" * (MOST_LITERALS + 1) + b")\r\n",
        b"* 1 FETCH (UID 1 X {" + b"9" * 5000 + b"}\r\n",
        b"* OK " + b"x" * 9000 + b"\r\n",
        b"\r\n" * 200,
        b'* LIST () "/" {100000}\r\n',
    ],
)
def test_what_stays_forbidden(answer: bytes) -> None:
    assert len(BODIES[1]) == 23
    with pytest.raises(ProtocolViolation):
        collected({BATCH: answer + OK})


def test_a_lone_line_feed_ends_a_line_only_where_nobody_could_have_put_it_there(
    tmp_path: Path,
) -> None:
    """GNU mailutils ends its answer to a login so. Before TLS it may be somebody else's."""
    authority = Authority(tmp_path)

    def start_tls(client: Client, line: bytes) -> None:
        client.send(tagged(line, b"TAG OK go on\r\n"))
        client.start_tls(authority.server())

    capability = [b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + OK, b"* CAPABILITY IMAP4rev1\n" + OK]
    script = imap({"CAPABILITY": capability, "STARTTLS": start_tls, "LOGIN": b"TAG OK logged in\n"})
    with Scripted(script) as server:
        opened = source(server, tls="starttls", caFile=authority.ca_file)
        assert len(inbox(opened).messages) == 3
        opened.finish()
    for replies in (
        {"CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS\n" + OK},
        {"CAPABILITY": capability[0], "STARTTLS": b"TAG OK go on\n"},
    ):
        with Scripted(imap(replies)) as server:
            opened = source(server, tls="starttls", caFile=authority.ca_file)
            with pytest.raises((ProtocolViolation, TlsRefused)):
                inbox(opened)
            opened.abort()
            assert not any(b"LOGIN" in line for line in server.lines)


def test_a_line_feed_is_no_end_inside_a_literal() -> None:
    body = b"Subject: x\n\n.\n* 2 FETCH (UID 2)\nC1 OK done\n"
    assert collected({BATCH: EVERY.replace(fetched(1, ALL[0]), fetched(1, body)) + OK}) == [
        body,
        *ALL[1:],
    ]


# Folders


@pytest.mark.parametrize(
    ("line", "literal", "raw", "delimiter"),
    [
        (rb'(\HasNoChildren) "\\" Folder\Subfolder 1', None, rb"Folder\Subfolder 1", "\\"),
        (rb'(\HasNoChildren) "\" Folder\Subfolder 1', None, rb"Folder\Subfolder 1", "\\"),
        (rb'() "/" Sent Items ', None, b"Sent Items", "/"),
        (rb'()  "/"  a', None, b"a", "/"),
        (b"() / a", None, b"a", "/"),
        (rb'() "/" "a\b\\c\"d"', None, rb'a\b\c"d', "/"),
        (b'() nil "a"', None, b"a", ""),
        (b'() "" "a"', None, b"a", ""),
        (b'() "/" "say "hi" now"', None, b'say "hi" now', "/"),
        (b'() "/" Old (2019)', None, b"Old (2019)", "/"),
        (b'() "/" a b (CHILDINFO ("SUBSCRIBED"))', None, b"a b", "/"),
        (b'() "/" {1+}', b"x", b"x", "/"),
        (b'() "/" ~{1}', b"x", b"x", "/"),
        (b'(\\NoInferiors  \\Marked ) "/" a', None, b"a", "/"),
        ('() "/" "Почта"'.encode(), None, "Почта".encode(), "/"),
        (b'()"/" a', None, b"a", "/"),
    ],
)
def test_folders_are_found_however_they_are_listed(
    line: bytes, literal: bytes | None, raw: bytes, delimiter: str
) -> None:
    folder = parse_list(line, literal)
    assert folder is not None
    assert (folder.raw, folder.delimiter) == (raw, delimiter)


@pytest.mark.parametrize(
    "line",
    [
        b'() "/" NIL',
        b'() "/" nil',
        b'() "/" "open',
        b'() "/" "' + b"x" * 2000 + b'"',
        b'(a "/" b',
    ],
)
def test_what_names_no_folder_is_passed_over(line: bytes) -> None:
    assert parse_list(line, None) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"&AOQ", "ä"),
        (b"&AOQ-&APY-", "äö"),
        (b"&AOQ=-", "ä"),
        (b"&AGE-", "a"),
        (b"&2AA-", "&2AA-"),
        (b"&2ADcAA-", "\U00010000"),
        (b"&2AA-&3AA-", "&2AA-&3AA-"),
        (b"R&D", "R&D"),
        (b"R & D", "R & D"),
        (b"&", "&"),
        (b"&-", "&"),
        (b"&&-", "&&-"),
        (b"&AAA-", "\\x00"),
        (b"a\0b", "a\\x00b"),
        (b"\xc3", "\\xc3"),
        (b"&AOQ/x", "ä/x"),
        (b"&BB8 x", "П x"),
    ],
)
def test_names_as_others_write_them(raw: bytes, text: str) -> None:
    assert decoded(raw) == text
    decoded(raw).encode()


def test_names_that_mean_the_same_text_are_two_folders() -> None:
    listed = b'* LIST () "/" &AOQ-\r\n* LIST () "/" &AOQ\r\n* LIST () "/" INBOX\r\n' + OK
    with Scripted(imap({"LIST": listed})) as server:
        opened = source(server, folders=["*"])
        assert {listing.folder.name for listing in opened.listings(writable=False)} == {
            "INBOX",
            "ä",
            "&AOQ",
        }
        opened.finish()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[UIDNEXT 7] next", ("UIDNEXT", b"7")),
        (b"[a b] c] d", ("A", b"b")),
        (b"[X]", ("X", b"")),
        (b"[ALERT", None),
        (b"text [X]", None),
        (b"[]", None),
        (b"", None),
        (b"[ UIDNEXT  7 ]", ("UIDNEXT", b"7")),
    ],
)
def test_codes(text: bytes, found: tuple[str, bytes] | None) -> None:
    assert code(text) == found


# Bounds


@pytest.mark.parametrize(
    "unasked", [b"* 9 FETCH (UID 9 BODY[] {%d}\r\n", b"* 9 FETCH (BODY[] {%d}\r\n"]
)
@pytest.mark.parametrize("command", [BATCH, "UID FETCH 1:*", "EXAMINE", "CAPABILITY"])
def test_I18_bodies_that_nobody_asked_for_count_for_the_bound(unasked: bytes, command: str) -> None:
    def flood(client: Client, line: bytes) -> None:
        while True:
            client.send(unasked % 1000 + b"x" * 1000 + b")\r\n")

    replies: dict[str, Reply] = {command: flood}
    if command == "NOOP":
        replies |= {f"{BATCH}(UID BODY": OK, "NOOP": OK}
    with pytest.raises(ProtocolViolation, match="longer than"):
        collected(replies, limits=Limits(reply=300_000, listing=300_000))


@pytest.mark.parametrize("line", [b"* CAPABILITY IMAP4rev1 X", b"* OK", b"*", b"* 5 EXISTS"])
@pytest.mark.parametrize("command", ["CAPABILITY", "LOGIN", "EXAMINE"])
def test_I18_very_short_responses_count_for_their_work(line: bytes, command: str) -> None:
    """A megabyte of them takes longer than many megabytes of others."""
    with pytest.raises(ProtocolViolation, match="longer than"):
        collected({command: (line + b"\r\n") * 4000 + OK}, limits=Limits(reply=300_000))


def test_I18_only_so_many_capabilities_become_words() -> None:
    many = (
        b"* CAPABILITY IMAP4rev1"
        + b"".join(b" X%d" % number for number in range(100_000))
        + b"\r\n"
    )
    with Scripted(imap({"CAPABILITY": many + OK})) as server:
        opened = source(server)
        inbox(opened)
        assert opened._account._client is not None
        assert len(opened._account._client.dialogue.capabilities) < 20_000
        opened.finish()


def test_I18_what_is_too_large_to_keep_counts_for_the_bound() -> None:
    def flood(client: Client, line: bytes) -> None:
        while True:
            client.send(b"* 1 FETCH (UID 1 BODY[] {5000000}\r\n" + b"x" * 5_000_000 + b")\r\n")

    with pytest.raises(ProtocolViolation, match="longer than"):
        collected({BATCH: flood}, limits=Limits(listing=12 << 20))


def test_I18_what_nobody_asked_for_is_not_kept() -> None:
    listing = sizes((uid, len(body)) for uid, body in BODIES.items())
    noise = b"* X y\r\n" * 50_000 + b"* SEARCH 1 2 3\r\n" * 50_000
    with Scripted(imap({"UID FETCH 1:*": noise + listing + OK})) as server:
        opened = source(server)
        inbox(opened)
        assert opened._account._client is not None
        assert (
            sum(len(kept) for kept in opened._account._client.dialogue.untagged_responses.values())
            < 20
        )
        opened.finish()
