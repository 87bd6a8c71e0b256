"""Listing and fetching from servers that lie, stop, flood or confuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.mail.internal_messages import INTERNAL
from reconciler.model.errors import (
    ConnectionFailed,
    Flooded,
    FolderFailed,
    ProtocolViolation,
    SourceError,
    SourceUnavailable,
    Throttled,
)
from reconciler.model.messages import Arrival
from reconciler.sources.imap import body_fetch as bodies
from reconciler.sources.imap.imap_dialogue import WHOLE
from reconciler.sources.imap.part_fetch import PART
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.imap_server import (
    BODIES,
    SELECTED,
    Reply,
    collect,
    fetched,
    imap,
    inbox,
    sizes,
    source,
    tagged,
)

HASTY = Limits(silence=1)
BATCH = "UID FETCH 1:2,5 (UID BODY.PEEK[])"
OK = b"TAG OK done\r\n"
ALL = list(BODIES.values())


def alone(uid: int, offset: int = 0) -> str:
    return f"UID FETCH {uid} (UID BODY.PEEK[]<{offset}.{PART}>)"


def part(uid: int, body: bytes, offset: int = 0) -> bytes:
    return fetched(uid, body, b"BODY[]<%d>" % offset) + OK


def every(bodies: dict[int, bytes]) -> bytes:
    return b"".join(fetched(uid, body) for uid, body in bodies.items()) + OK


def listed(bodies: list[tuple[int, int]]) -> dict[str, Reply]:
    """Replies that announce these UIDs and sizes."""
    uids = b" ".join(b"%d" % uid for uid, _ in bodies)
    return {
        "UID FETCH 1:* (UID RFC822.SIZE)": sizes(bodies) + OK,
        "UID SEARCH": b"* SEARCH " + uids + b"\r\n" + OK,
    }


def collected(replies: Mapping[str, Reply], limits: Limits | None = None) -> list[bytes | str]:
    with Scripted(imap(replies)) as server:
        opened = source(server, limits)
        found = collect(opened, inbox(opened))
        opened.finish()
        return found


def broken(
    replies: Mapping[str, Reply], kind: type[SourceError], limits: Limits | None = None
) -> list[bytes]:
    """What arrived before the session ended with such an error."""
    arrived = []
    with Scripted(imap(replies)) as server:
        opened = source(server, limits)
        listing = inbox(opened)
        with pytest.raises(kind) as failure:  # noqa: PT012  # what came before counts too
            for found in opened.fetch(listing.folder, listing.messages):
                assert isinstance(found, Arrival)
                arrived.append(b"".join(found.content))
        opened.abort()
        assert type(failure.value) is kind
    return arrived


# Literals


def test_all_arrive_in_one_command() -> None:
    with Scripted(imap({BATCH: every(BODIES)})) as server:
        opened = source(server)
        assert collect(opened, inbox(opened)) == ALL
        opened.finish()
        assert sum(b"UID FETCH" in line for line in server.lines) == 2
        assert any(b"EXAMINE" in line for line in server.lines)


@pytest.mark.parametrize("then", ["body 0 1", "1 body 0"])
def test_commands_may_be_worked_on_side_by_side_and_end_in_any_order(
    monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """RFC 3501, section 5.5; Dovecot does so when its output has to wait."""
    monkeypatch.setattr(bodies, "WINDOW_COUNT", 2)
    lines: list[bytes] = []

    def both(client: Client, line: bytes) -> None:
        lines.append(line)
        if len(lines) == 2:
            client.send(fetched(1, BODIES[1]) + fetched(5, BODIES[5]))
            for step in then.split():
                client.send(
                    fetched(2, BODIES[2]) if step == "body" else tagged(lines[int(step)], OK)
                )

    with Scripted(
        imap({"UID FETCH 1:2 (UID BODY.PEEK[])": both, "UID FETCH 5 (UID BODY.PEEK[])": both})
    ) as server:
        opened = source(server)
        found = collect(opened, inbox(opened))
        opened.finish()
        assert sorted(found, key=str) == sorted(ALL, key=str)
        assert sum(b"UID FETCH" in line for line in server.lines) == 3


@pytest.mark.parametrize("size", [6_000_000_000, 10**19])
def test_I1_L6_a_huge_literal_is_refused_before_it_is_read(size: int) -> None:
    reply = fetched(1, BODIES[1]) + b"* 2 FETCH (UID 2 BODY[] {%d}\r\nxxx" % size
    assert broken({BATCH: reply}, ProtocolViolation) == []


def test_I1_an_announced_giant_is_fetched_in_parts() -> None:
    def answer(client: Client, line: bytes) -> None:
        offset = int(line.split(b"<")[1].split(b".")[0])
        client.send(tagged(line, part(7, whole[offset : offset + PART], offset)))

    whole = b"Subject: large\r\n\r\n" + b"0123456789abcd\r\n" * (WHOLE // 16 + 5)
    replies = listed([(7, len(whole))]) | {"UID FETCH 7 ": answer}
    assert collected(replies) == [whole]


def test_I1_a_literal_larger_than_memory_is_for_is_fetched_in_parts() -> None:
    def answer(client: Client, line: bytes) -> None:
        offset = int(line.split(b"<")[1].split(b".")[0])
        client.send(tagged(line, part(2, whole[offset : offset + PART], offset)))

    whole = b"x" * (WHOLE + 5)
    replies: dict[str, Reply] = {BATCH: every(BODIES | {2: whole}), "UID FETCH 2 ": answer}
    assert collected(replies) == [ALL[0], ALL[2], whole]


def test_I2_a_literal_longer_than_the_data() -> None:
    def answer(client: Client, line: bytes) -> None:
        client.send(fetched(1, BODIES[1]) + b"* 2 FETCH (UID 2 BODY[] {1000}\r\nonly this")
        client.wait()

    assert broken({BATCH: answer}, ConnectionFailed, HASTY) == ALL[:1]


def test_I2_a_connection_cut_inside_a_message() -> None:
    def answer(client: Client, line: bytes) -> None:
        client.send(
            fetched(1, BODIES[1])
            + fetched(2, BODIES[2])
            + b"* 2 FETCH (UID 5 BODY[] {1000}\r\nonly this"
        )
        client.close()

    assert broken({BATCH: answer}, ConnectionFailed) == ALL[:2]


def test_T11_tls_cut_without_close_notify(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def answer(client: Client, line: bytes) -> None:
        client.send(b"* 1 FETCH (UID 1 BODY[] {100}\r\nSubject: half")
        client.cut()

    with Scripted(imap({BATCH: answer}), tls=authority.server()) as server:
        opened = source(server, tls="implicit", caFile=authority.ca_file)
        listing = inbox(opened)
        with pytest.raises(ConnectionFailed):
            collect(opened, listing)
        opened.abort()


@pytest.mark.parametrize("claimed", [0, 3, 20])
def test_I3_a_literal_shorter_than_the_data(claimed: int) -> None:
    reply = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%s)\r\n" % (claimed, BODIES[1]) + OK
    assert broken({BATCH: reply}, ProtocolViolation) == []


def test_a_body_may_be_a_quoted_string_and_attributes_in_any_order() -> None:
    reply = (
        b'* 1 FETCH (FLAGS (\\Seen) BODY[] "say \\"hi\\"" UID 1)\r\n'
        b"* 2 FETCH (BODY[] {3}\r\nabc FLAGS () UID 2)\r\n" + fetched(5, BODIES[5]) + OK
    )
    assert collected({BATCH: reply}) == [b'say "hi"', b"abc", ALL[2]]


# One message


def test_I4_nil_is_no_mail() -> None:
    replies = {
        BATCH: fetched(1, BODIES[1])
        + b"* 2 FETCH (UID 2 BODY[] NIL)\r\n"
        + fetched(5, BODIES[5])
        + OK,
        alone(2): b"* 2 FETCH (UID 2 BODY[]<0> NIL)\r\n" + OK,
    }
    found = collected(replies)
    assert found[:2] == [ALL[0], ALL[2]]
    assert "NIL" in str(found[2])


def test_I4_an_empty_body_of_a_message_with_a_size_is_no_mail() -> None:
    found = collected({BATCH: every(BODIES | {2: b""}), alone(2): part(2, b"")})
    assert found[:2] == [ALL[0], ALL[2]]
    assert "sent nothing" in str(found[2])


def test_I4_a_message_that_does_not_come_is_asked_for_once_more() -> None:
    assert collected({BATCH: every({1: ALL[0], 5: ALL[2]}), alone(2): part(2, ALL[1])}) == [
        ALL[0],
        ALL[2],
        ALL[1],
    ]


def test_M3_an_empty_message_is_delivered_where_its_size_is_zero() -> None:
    assert collected(listed([(1, 0)]) | {"UID FETCH 1 (UID BODY": every({1: b""})}) == [b""]


@pytest.mark.parametrize("announced", [1, 10_000, 900_000])
def test_I6_a_size_that_differs_is_a_hint_only(announced: int) -> None:
    replies = listed([(uid, announced) for uid in BODIES])
    assert collected(replies | {BATCH: every(BODIES)}) == ALL


def test_I6_a_large_message_smaller_than_announced_ends_with_an_empty_part() -> None:
    body = b"x" * 100
    replies = listed([(1, WHOLE + PART)]) | {
        alone(1): part(1, body),
        alone(1, 100): part(1, b"", 100),
    }
    assert collected(replies) == [body]


def test_I6_a_message_that_never_ends() -> None:
    def answer(client: Client, line: bytes) -> None:
        client.send(tagged(line, part(1, b"x" * PART, int(line.split(b"<")[1].split(b".")[0]))))

    with Scripted(imap(listed([(1, WHOLE + 1)]) | {"UID FETCH 1 ": answer})) as server:
        opened = source(server)
        listing = inbox(opened)
        [arrival] = opened.fetch(listing.folder, listing.messages)
        assert isinstance(arrival, Arrival)
        with pytest.raises(ProtocolViolation, match="does not end"):
            sum(len(chunk) for chunk in arrival.content)
        opened.abort()


WHOLE_TEXT = b"Subject: large\r\n\r\n" + b"".join(
    b"%07d and so on\r\n" % number for number in range(330_000)
)


def span(line: bytes) -> tuple[int, int]:
    """The offset and the length that are asked for."""
    offset, length = line.split(b"<")[1].split(b">")[0].split(b".")
    return int(offset), int(length)


def parts_as(
    answer: Callable[[int, int], tuple[bytes, bytes]], size: int | None = None
) -> dict[str, Reply]:
    """A server with one large message: from an offset and a length to what it sends, and under
    which name."""

    def reply(client: Client, line: bytes) -> None:
        if b"<" in line:
            item, body = answer(*span(line))
        else:
            item, body = b"BODY[]", WHOLE_TEXT
        client.send(tagged(line, fetched(7, body, item) + OK))

    return listed([(7, len(WHOLE_TEXT) if size is None else size)]) | {
        "UID FETCH 7 (UID BODY": reply
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda start, length: (b"BODY[]<0>", WHOLE_TEXT),
        lambda start, length: (b"BODY[]", WHOLE_TEXT),
        lambda start, length: (b"BODY[]", WHOLE_TEXT[start : start + length]),
        lambda start, length: (b"BODY[]<%d>" % start, WHOLE_TEXT[start : start + 100 * 1024]),
        lambda start, length: (b"BODY[]<%d>" % start, WHOLE_TEXT[start : start + 2 * length]),
        lambda start, length: (b"BODY[]<%d>" % (start + 1), WHOLE_TEXT[start + 1 : start + length]),
        lambda start, length: (b"BODY[]<%d>" % start, b""),
    ],
    ids=[
        "partial is ignored",
        "bare whole",
        "bare parts",
        "small parts",
        "more than asked",
        "other offset",
        "nothing",
    ],
)
def test_parts_are_taken_as_the_server_makes_them(
    answer: Callable[[int, int], tuple[bytes, bytes]],
) -> None:
    assert collected(parts_as(answer)) == [WHOLE_TEXT]


def test_partial_ignored_and_a_size_that_is_wrong() -> None:
    assert collected(
        parts_as(lambda start, length: (b"BODY[]<0>", WHOLE_TEXT), len(WHOLE_TEXT) * 5 // 4)
    ) == [WHOLE_TEXT]


def test_parts_that_always_begin_anew_are_no_message() -> None:
    with Scripted(
        imap(parts_as(lambda start, length: (b"BODY[]<0>", WHOLE_TEXT[:length])))
    ) as server:
        opened = source(server)
        listing = inbox(opened)
        arrival = next(opened.fetch(listing.folder, listing.messages))
        assert isinstance(arrival, Arrival)
        with pytest.raises(ProtocolViolation, match="begins anew"):
            b"".join(arrival.content)
        opened.abort()


@pytest.mark.parametrize(
    ("size", "doubted"), [(48210, True), (1000, True), (800, False), (736, False), (10, False)]
)
def test_far_less_than_announced_is_doubted(size: int, doubted: bool) -> None:
    """A text in place of a message that could not be retrieved."""
    text = b"Subject: Retrieval failed\r\n\r\n".ljust(736, b".")
    with Scripted(
        imap(listed([(1, size)]) | {"UID FETCH 1 (UID BODY": every({1: text})})
    ) as server:
        opened = source(server)
        listing = inbox(opened)
        [arrival] = opened.fetch(listing.folder, listing.messages)
        assert isinstance(arrival, Arrival)
        assert b"".join(arrival.content) == text
        assert arrival.doubt() == (f"{size} octets were announced and 736 came" if doubted else "")
        opened.finish()


def test_I6_a_large_message_that_breaks_off_is_not_whole() -> None:
    replies = listed([(1, WHOLE + PART)]) | {
        alone(1): part(1, b"x" * PART),
        alone(1, PART): b"TAG NO disk error\r\n",
    }
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened)
        [arrival] = opened.fetch(listing.folder, listing.messages)
        assert isinstance(arrival, Arrival)
        with pytest.raises(ProtocolViolation, match="broke off"):
            b"".join(arrival.content)
        opened.abort()


def test_I7_other_missing_and_impossible_uids_are_ignored() -> None:
    foreign = (
        fetched(3, b"not asked for")
        + fetched(0, b"nought")
        + fetched(1 << 32, b"too large")
        + b"* 9 FETCH (BODY[] {7}\r\nwhose is)\r\n* 9 FETCH (FLAGS (\\Seen))\r\n"
    ).replace(b"{7}", b"{8}")
    assert collected({BATCH: foreign + every(BODIES)}) == ALL


def test_I8_the_same_uid_twice_is_fetched_again_by_itself() -> None:
    twice = fetched(1, b"wrong") + fetched(1, b"which?") + every({2: ALL[1], 5: ALL[2]})
    assert collected({BATCH: twice, alone(1): part(1, ALL[0])}) == [ALL[1], ALL[2], ALL[0]]


def test_I8_a_message_that_is_always_there_twice_is_not_fetched() -> None:
    answer = fetched(1, b"one", b"BODY[]<0>") + part(1, b"two")
    twice = fetched(1, b"one") + fetched(1, b"two") + every({2: ALL[1], 5: ALL[2]})
    found = collected({BATCH: twice, alone(1): answer})
    assert found[:2] == ALL[1:]
    assert "twice" in str(found[2])


def test_I8_a_repeat_after_others_ends_the_session() -> None:
    assert (
        broken(
            {BATCH: fetched(1, ALL[0]) + fetched(2, ALL[1]) + fetched(1, b"again") + OK},
            ProtocolViolation,
        )
        == ALL[:1]
    )


def test_I12_expunge_exists_and_flags_in_between() -> None:
    reply = (
        fetched(1, ALL[0])
        + b"* 2 EXPUNGE\r\n* 7 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"
        b"* OK still here\r\n* 3 FETCH (UID 5 FLAGS (\\Flagged))\r\n" + fetched(5, ALL[2]) + OK
    )
    assert collected({BATCH: reply, "UID SEARCH": b"* SEARCH 1 5\r\n" + OK}) == [
        ALL[0],
        ALL[2],
        "vanished",
    ]


def test_I15_goodbye_in_the_middle_keeps_the_finished_ones() -> None:
    reply = (
        fetched(1, ALL[0]) + fetched(2, ALL[1]) + fetched(5, ALL[2]) + b"* BYE shutting down\r\n"
    )
    assert broken({BATCH: reply}, SourceUnavailable) == ALL
    assert broken({BATCH: reply.replace(b"shutting down", b"bye")}, ConnectionFailed) == ALL
    assert broken({BATCH: b"* BYE [UNAVAILABLE] later\r\n"}, SourceUnavailable) == []
    assert broken({BATCH: b"* BYE [LIMIT] later\r\n"}, Throttled) == []


@pytest.mark.parametrize("refusal", [b"NO cannot read", b"BAD cannot parse", b"NO [SERVERBUG"])
def test_I16_a_refused_message_does_not_stop_the_others(refusal: bytes) -> None:
    replies: dict[str, Reply] = {
        BATCH: fetched(1, ALL[0]) + b"TAG " + refusal + b"\r\n",
        alone(2): b"TAG " + refusal + b"\r\n",
        alone(5): part(5, ALL[2]),
    }
    first, bad, last = collected(replies)
    assert (first, last) == (ALL[0], ALL[2])
    assert "the server refused it" in str(bad)


# Whole sessions


def test_I10_no_uidvalidity() -> None:
    for told in (
        b"",
        b"* OK [UIDVALIDITY 0] ok\r\n",
        b"* OK [UIDVALIDITY x] ok\r\n",
        b"* OK [UIDVALIDITY " + b"9" * 5000 + b"] ok\r\n",
    ):
        selected = SELECTED.replace(b"* OK [UIDVALIDITY 77] ok\r\n", told)
        with Scripted(imap({"EXAMINE": selected})) as server:
            opened = source(server)
            with pytest.raises(ProtocolViolation, match="UIDVALIDITY"):
                inbox(opened)
            opened.abort()


def test_I10_uidvalidity_changes_during_a_fetch() -> None:
    reply = (
        fetched(1, ALL[0])
        + b"* OK [UIDVALIDITY 78] new\r\n"
        + fetched(2, ALL[1])
        + fetched(5, ALL[2])
        + OK
    )
    assert ALL[2] not in broken({BATCH: reply}, FolderFailed)


def test_I10_uidvalidity_changes_between_two_selects() -> None:
    both = b'* LIST () "/" INBOX\r\n* LIST () "/" other\r\n' + OK
    renumbered = SELECTED.replace(b"77", b"78")
    with Scripted(imap({"LIST": both, 'EXAMINE "INBOX"': [SELECTED, renumbered]})) as server:
        opened = source(server, folders=["INBOX", "other"])
        first, _ = opened.listings(writable=False)
        with pytest.raises(ProtocolViolation, match="numbered anew"):
            collect(opened, first)
        opened.abort()


@pytest.mark.parametrize(
    "junk",
    [
        sizes([(2, 10), (1, 10), (2, 10)]),
        sizes([(1, 10), (2, 10), (0, 5), (1 << 32, 5)]),
        sizes([(1, 10), (2, 10)])
        + b"* 9 FETCH (FLAGS (\\Seen))\r\n* 9 FETCH (UID x RFC822.SIZE 3)\r\n* 4 EXISTS\r\n",
    ],
)
def test_I14_listings_are_deduplicated_checked_and_sorted(junk: bytes) -> None:
    two = SELECTED.replace(b"3 EXISTS", b"2 EXISTS")
    with Scripted(imap({"EXAMINE": two, "UID FETCH 1:*": junk + OK})) as server:
        opened = source(server)
        assert [(listed.key, listed.size) for listed in inbox(opened).messages] == [
            ("1", 10),
            ("2", 10),
        ]
        opened.finish()


def test_I14_junk_in_a_search_is_dropped() -> None:
    search = b"* SEARCH 5 5 0 -1 99999999999 abc 4294967296\r\n* SEARCH\r\n* SEARCH 5\r\n" + OK
    assert collected(
        {BATCH: fetched(1, ALL[0]) + OK, "UID SEARCH": search, alone(5): part(5, ALL[2])}
    ) == [ALL[0], "vanished", ALL[2]]


def test_I28_no_uidnext_is_needed() -> None:
    assert b"UIDNEXT" not in SELECTED
    assert collected({BATCH: every(BODIES)}) == ALL


def test_a_size_that_is_missing_is_unknown() -> None:
    replies: dict[str, Reply] = {
        "EXAMINE": SELECTED.replace(b"3 EXISTS", b"1 EXISTS"),
        "UID FETCH 1:*": b"* 1 FETCH (UID 1)\r\n" + OK,
        alone(1): part(1, ALL[0]),
        alone(1, len(ALL[0])): part(1, b"", len(ALL[0])),
    }
    assert collected(replies) == [ALL[0]]


def flood(client: Client, line: bytes) -> None:
    while True:
        client.send(b"* 1 EXISTS\r\n" * 1000)


def endless_line(client: Client, line: bytes) -> None:
    while True:
        client.send(b"* OK " + b"x" * 10_000)


def test_I17_slowloris() -> None:
    def dribble(client: Client, line: bytes) -> None:
        client.send(b"* 1 FETCH (UID 1 BODY[] {100000}\r\n")
        while True:
            client.send(b"x")
            time.sleep(0.01)

    limits = Limits(silence=1, minimum_rate=1e12)
    assert broken({BATCH: dribble}, ConnectionFailed, limits) == []


def test_I18_a_flood_of_untagged_data() -> None:
    assert broken({BATCH: flood}, Flooded, Limits(listing=100_000)) == []


def test_I18_a_flood_in_answer_to_a_short_command() -> None:
    with Scripted(imap({"EXAMINE": flood})) as server:
        opened = source(server, Limits(reply=100_000))
        with pytest.raises(ProtocolViolation):
            inbox(opened)
        opened.abort()


@pytest.mark.parametrize(
    "reply", [endless_line, b"* OK lone\nline feed\r\n" + OK, b"* OK lone\rreturn\r\n" + OK]
)
def test_I20_L11_endless_and_broken_lines(reply: Reply) -> None:
    assert broken({BATCH: reply}, ProtocolViolation, Limits(line=100_000)) == []


@pytest.mark.parametrize(
    "reply",
    [
        b"OTHER1 OK done\r\n",
        b"OK done\r\n",
        b"+ go on\r\n",
        b"TAG HELLO\r\n",
        b"\r\n" * 200,
        b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc) x\r\n",
        b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc\r\n\r\n)\r\n",
        b"* 1 FETCH (UID 1 UID 1 BODY[] {3}\r\nabc)\r\n",
        b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc\r\nBODY[] {3}\r\nabc)\r\n",
    ],
)
def test_I21_wrong_tags_and_other_nonsense(reply: bytes) -> None:
    assert broken({BATCH: reply}, ProtocolViolation) == []


@pytest.mark.parametrize(
    "response",
    [
        b"* 1 FETCH UID 1\r\n",
        b"* 1 FETCH (UID)\r\n",
        b"* 1 FETCH (UID 1 UID 2)\r\n",
        b"* 1 FETCH (UID 1) x\r\n",
        b"* 1 FETCH (UID (1\r\n",
        b"* 1 FETCH (BODY[] {5} UID 1)\r\n",
        b'* 1 FETCH (ENVELOPE ("\r\n',
        b"* 1 FETCH\r\n",
    ],
)
def test_what_cannot_be_read_is_passed_over_where_nothing_depends_on_it(response: bytes) -> None:
    assert collected({BATCH: response + every(BODIES)}) == ALL
    without = response + fetched(2, ALL[1]) + fetched(5, ALL[2]) + OK
    assert collected({BATCH: without, alone(1): part(1, ALL[0])}) == [ALL[1], ALL[2], ALL[0]]


# NUL


def test_nul_is_restored_only_where_everything_else_is_equal() -> None:
    shown, original = b"Subject: n\r\n\r\na\x80b\r\n", b"Subject: n\r\n\r\na\0b\r\n"
    capability = b"* CAPABILITY IMAP4rev1 BINARY\r\n" + OK
    binary = f"UID FETCH 1 (UID BINARY.PEEK[]<0.{PART}>)"
    usual = listed([(1, len(shown))]) | {
        "CAPABILITY": capability,
        "UID FETCH 1 (UID BODY.PEEK[])": every({1: shown}),
        alone(1): part(1, shown),
    }
    restored = b"* 1 FETCH (UID 1 BINARY[]<0> ~{%d}\r\n%s)\r\n" % (len(original), original) + OK
    assert collected(usual | {binary: restored}) == [original]
    assert collected(usual | {binary: restored.replace(b"a\0", b"c\0")}) == [shown]
    assert collected(usual | {binary: b"TAG NO [UNKNOWN-CTE] cannot\r\n"}) == [shown]
    assert collected(usual | {"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n" + OK}) == [shown]


def test_fetching_twice_from_the_same_folder_does_not_select_again() -> None:
    with Scripted(imap({BATCH: every(BODIES)})) as server:
        opened = source(server)
        listing = inbox(opened)
        assert collect(opened, listing) == collect(opened, listing) == ALL
        opened.finish()
        assert sum(b"EXAMINE" in line for line in server.lines) == 1


def test_a_folder_that_cannot_be_opened_again() -> None:
    with Scripted(imap({"EXAMINE": [SELECTED, b"TAG NO gone\r\n"]})) as server:
        opened = source(server)
        listing = inbox(opened)
        stale = replace(listing.folder, validity=listing.folder.validity + 1)
        with pytest.raises(FolderFailed, match="does not open"):
            list(opened.fetch(stale, listing.messages))
        opened.abort()


def test_a_mailbox_s_own_record_is_no_mail_where_it_comes_first() -> None:
    record = (
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 12 42\r\n\r\n"
        b"This text\r\n"
    )
    held = {1: record, 2: BODIES[2], 5: record}
    found = collected(
        listed([(uid, len(body)) for uid, body in held.items()]) | {BATCH: every(held)}
    )
    assert found == [INTERNAL, BODIES[2], record]
