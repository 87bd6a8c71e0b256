"""Deleting: only what was asked for, confirmed only when it is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from reconciler.model.errors import FolderFailed, ProtocolViolation, SourceError
from reconciler.model.messages import Deletion
from tests.servers.scripted import Client, Scripted
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

OK = b"TAG OK done\r\n"
UIDPLUS = b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n" + OK
PRESENT = b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n" + OK
GONE: dict[str, Reply] = {"UID STORE": OK, "UID SEARCH UID": b"* SEARCH\r\n" + OK}


def deleted(
    replies: Mapping[str, Reply | Sequence[Reply]], count: int = 2
) -> tuple[Deletion, list[bytes]]:
    """What became of deleting the first messages, and the commands that were sent for it."""
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        before = len(server.lines)
        deletion = opened.delete(listing.folder, listing.messages[:count])
        sent = [line.partition(b" ")[2] for line in server.lines[before:]]
        opened.finish()
        return deletion, sent


def test_uidplus_expunges_exactly_ours() -> None:
    deletion, sent = deleted(
        GONE | {"CAPABILITY": UIDPLUS, "UID EXPUNGE": b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" + OK}
    )
    assert deletion == Deletion(confirmed=frozenset({"1", "2"}))
    assert sent == [
        b"UID STORE 1:2 +FLAGS.SILENT (\\Deleted)",
        b"UID EXPUNGE 1:2",
        b"UID SEARCH UID 1:2",
    ]


def test_I25_without_uidplus_expunge_when_only_ours_are_marked() -> None:
    deletion, sent = deleted(
        GONE
        | {"UID SEARCH DELETED": b"* SEARCH 2 1\r\n" + OK, "EXPUNGE": OK, "UID FETCH 1:2 (UID)": OK}
    )
    assert deletion.confirmed == {"1", "2"}
    assert b"EXPUNGE" in sent


def test_I25_without_uidplus_others_that_are_marked_stay() -> None:
    replies = GONE | {
        "UID SEARCH DELETED": b"* SEARCH 1 2 5\r\n" + OK,
        "UID SEARCH UID": b"* SEARCH 1 2\r\n" + OK,
    }
    deletion, sent = deleted(replies)
    assert deletion.confirmed == frozenset()
    assert [key for key, _ in deletion.refused] == ["1", "2"]
    assert "lacks UIDPLUS" in deletion.refused[0][1]
    assert b"EXPUNGE" not in sent


def test_what_is_still_there_is_not_confirmed() -> None:
    replies = GONE | {
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": OK,
        "UID SEARCH UID": b"* SEARCH 2\r\n" + OK,
        "UID FETCH 1 (UID)": OK,
    }
    deletion, _ = deleted(replies)
    assert deletion == Deletion(
        confirmed=frozenset({"1"}), refused=(("2", "the server still has it after EXPUNGE"),)
    )


@pytest.mark.parametrize(
    ("fetch", "expunged", "confirmed"),
    [
        (b"* 2 FETCH (UID 2)\r\n" + OK, b"", {"1"}),
        (b"TAG NO no such messages\r\n", b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n", {"1", "2"}),
        (b"TAG BAD what?\r\n", b"* 1 EXPUNGE\r\n", set()),
    ],
)
def test_where_the_look_is_refused_another_one_is_tried(
    fetch: bytes, expunged: bytes, confirmed: set[str]
) -> None:
    """smtp4dev#2001: NO to UID SEARCH after each deletion. It is no failure."""
    deletion, _ = deleted(
        {
            "CAPABILITY": UIDPLUS,
            "UID STORE": OK,
            "UID EXPUNGE": expunged + OK,
            "UID SEARCH": b"TAG NO cannot search\r\n",
            "UID FETCH 1:2 (UID)": fetch,
        }
    )
    assert deletion.confirmed == confirmed
    assert {key for key, _ in deletion.refused} == {"1", "2"} - confirmed


@pytest.mark.parametrize("expunge", [OK, b"TAG NO [LIMIT] not so many\r\n", b"TAG BAD what?\r\n"])
@pytest.mark.parametrize(
    "search", [OK, b"* SEARCH\r\n" + OK, b"* SEARCH 7\r\n" + OK, b"* ESEARCH (tag x) UID\r\n" + OK]
)
def test_a_search_that_falls_short_confirms_nothing(expunge: bytes, search: bytes) -> None:
    """Nothing is expunged, and the server does not name what is there."""
    deletion, _ = deleted(
        {
            "CAPABILITY": UIDPLUS,
            "UID STORE": OK,
            "UID EXPUNGE": expunge,
            "UID SEARCH": search,
            "EXPUNGE": OK,
            "UID FETCH 1:* (UID FLAGS)": b"TAG NO flags\r\n",
            "UID FETCH 1:2 (UID)": PRESENT,
        }
    )
    assert deletion.confirmed == frozenset()


@pytest.mark.parametrize(
    ("capability", "expunge"), [(b"", OK), (b" UIDPLUS", b"TAG BAD unknown command\r\n")]
)
@pytest.mark.parametrize(
    ("search", "confirmed"),
    [
        (b"* SEARCH 1 2\r\n", True),
        (b'* ESEARCH (tag "x") UID ALL 1:2\r\n', True),
        (b'* ESEARCH (tag "x") UID MIN 1 MAX 2 COUNT 2 ALL 2:1\r\n', True),
        (b"* SEARCH 1 2 5\r\n", False),
        (b'* ESEARCH (tag "x") UID ALL 1:5\r\n', False),
        (b"* ESEARCH UID ALL 5\r\n", False),
        (b"* ESEARCH (tag x) ALL 1\r\n", False),
        (b"", False),
    ],
)
def test_I25_expunge_without_uids_only_where_it_is_known_that_nothing_else_is_marked(
    capability: bytes, expunge: bytes, search: bytes, *, confirmed: bool
) -> None:
    """Where SEARCH is not answered, as a server that speaks only of ESEARCH may, nobody knows."""
    deletion, sent = deleted(
        {
            "CAPABILITY": b"* CAPABILITY IMAP4rev1" + capability + b"\r\n" + OK,
            "UID STORE": OK,
            "UID SEARCH DELETED": search + OK,
            "UID EXPUNGE": expunge,
            "UID SEARCH UID": search + OK,
            "EXPUNGE": b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" + OK,
            "UID FETCH 1:* (UID FLAGS)": b"TAG NO flags\r\n",
            "UID FETCH 1:2 (UID)": OK if confirmed else PRESENT,
        }
    )
    assert (b"EXPUNGE" in sent) == confirmed
    assert not deletion.confirmed or confirmed


def test_without_uidplus_and_without_a_search_nothing_is_expunged() -> None:
    deletion, sent = deleted(
        {
            "UID STORE": OK,
            "UID SEARCH": b"TAG NO cannot search\r\n",
            "UID FETCH 1:2 (UID)": b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n" + OK,
        }
    )
    assert deletion.confirmed == frozenset()
    assert b"EXPUNGE" not in sent


@pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
@pytest.mark.parametrize("status", ["NO", "BAD"])
def test_a_refusal_is_reported_with_its_reason(command: str, status: str) -> None:
    replies = GONE | {
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": OK,
        "UID SEARCH UID": b"* SEARCH 1 2\r\n" + OK,
        command: f"TAG {status} you may not\r\n".encode(),
    }
    deletion, _ = deleted(replies)
    assert deletion.confirmed == frozenset()
    assert all("you may not" in reason for _, reason in deletion.refused)


@pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
def test_a_refusal_of_many_may_be_that_of_one(command: str) -> None:
    replies = GONE | {
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": OK,
        "UID SEARCH UID": b"* SEARCH 2\r\n" + OK,
        "UID FETCH 1 (UID)": OK,
        f"{command} 1:2": b"TAG NO [SERVERBUG] no\r\n",
        f"{command} 2": b"TAG NO [SERVERBUG] no\r\n",
    }
    deletion, _ = deleted(replies)
    assert deletion == Deletion(confirmed=frozenset({"1"}), refused=(("2", "[SERVERBUG] no"),))


@pytest.mark.parametrize(
    ("refused", "asked", "stay"),
    [
        pytest.param([], 1, [], id="all may be deleted"),
        pytest.param([37], 1 + 7 * 2, [37], id="all but one may be"),
        pytest.param(range(1, 129), 1 + 2 + 4, range(1, 129), id="none may be"),
        pytest.param(range(2, 129, 2), 1 + 2 + 4, range(1, 129), id="some in every part may not"),
        pytest.param(
            range(65, 129, 2),
            1 + 2 + 2 + 4 + 8 + 16 + 32,
            range(65, 129),
            id="as many as one session asks for",
        ),
    ],
)
def test_a_set_that_is_refused_is_halved_as_long_as_anything_is_accepted(
    refused: Sequence[int], asked: int, stay: Sequence[int]
) -> None:
    """Of 128 messages. `asked` is the number of sets; the messages `stay` are not deleted."""
    left = set(range(1, 129))

    def expunge(client: Client, line: bytes) -> None:
        first, _, last = line.split()[-1].decode().partition(":")
        uids = range(int(first), int(last or first) + 1)
        if set(uids) & set(refused):
            client.send(tagged(line, b"TAG NO not all of these\r\n"))
        else:
            left.difference_update(uids)
            client.send(tagged(line, b"* 1 EXPUNGE\r\n" * len(uids) + OK))

    def search(client: Client, line: bytes) -> None:
        found = b"".join(b" %d" % uid for uid in sorted(left))
        client.send(tagged(line, b"* SEARCH" + found + b"\r\n" + OK))

    replies: dict[str, Reply] = {
        "CAPABILITY": UIDPLUS,
        "SELECT": b"* 128 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\nTAG OK [READ-WRITE] done\r\n",
        "UID FETCH 1:*": sizes((uid, 10) for uid in range(1, 129)) + OK,
        "UID STORE": OK,
        "UID EXPUNGE": expunge,
        "UID SEARCH UID": search,
    }
    deletion, sent = deleted(replies, 128)
    assert sum(line.startswith(b"UID EXPUNGE") for line in sent) == asked
    assert left == set(stay)
    assert deletion.confirmed == {str(uid) for uid in range(1, 129) if uid not in left}
    assert deletion.refused == tuple((str(uid), "not all of these") for uid in stay)


def test_I26_a_read_only_folder_is_listed_and_nothing_is_deleted() -> None:
    with Scripted(imap({"SELECT": SELECTED})) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        assert listing.read_only
        assert len(listing.messages) == 3
        deletion = opened.delete(listing.folder, listing.messages)
        opened.finish()
        assert [key for key, _ in deletion.refused] == ["1", "2", "5"]
        assert not any(b"STORE" in line or b"EXPUNGE" in line for line in server.lines)


def test_I10_nothing_is_deleted_once_the_folder_is_renumbered() -> None:
    both = b'* LIST () "/" INBOX\r\n* LIST () "/" other\r\n' + OK
    writable = SELECTED.replace(b"READ-ONLY", b"READ-WRITE")
    replies: dict[str, Reply | Sequence[Reply]] = {
        "LIST": both,
        'SELECT "INBOX"': [writable, writable.replace(b"77", b"78")],
    }
    with Scripted(imap(replies)) as server:
        opened = source(server, folders=["INBOX", "other"])
        first, _ = opened.listings(writable=True)
        with pytest.raises(ProtocolViolation, match="numbered anew"):
            opened.delete(first.folder, first.messages)
        opened.abort()
        assert not any(b"STORE" in line for line in server.lines)


def test_I10_nothing_more_is_deleted_once_a_deletion_was_answered_with_other_numbers() -> None:
    replies = GONE | {
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": b"* 1 EXPUNGE\r\n* OK [UIDVALIDITY 78] new\r\n" + OK,
    }
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        opened.delete(listing.folder, listing.messages[:1])
        with pytest.raises(FolderFailed, match="numbered anew"):
            opened.delete(listing.folder, listing.messages[1:])
        opened.abort()
        assert [line.partition(b" ")[2] for line in server.lines if b"STORE" in line] == [
            b"UID STORE 1 +FLAGS.SILENT (\\Deleted)"
        ]


def test_nothing_to_delete_asks_the_server_nothing() -> None:
    deletion, sent = deleted({}, count=0)
    assert (deletion, sent) == (Deletion(), [])


def close(client: Client, line: bytes) -> None:
    client.close()


@pytest.mark.parametrize(
    "logout", [close, b"TAG BAD what?\r\n", b"nonsense\r\n", b"* BYE\r\n", b"* BYE bye\r\n"]
)
def test_errors_in_logout_are_no_failure(logout: Reply) -> None:
    with Scripted(imap({"LOGOUT": logout})) as server:
        opened = source(server)
        inbox(opened)
        assert opened.finish() == Deletion()
        opened.abort()


def test_logout_is_sent_alone_and_ends_the_session() -> None:
    with Scripted(imap()) as server:
        opened = source(server)
        inbox(opened)
        opened.finish()
        with pytest.raises(SourceError):
            inbox(opened)
        opened.abort()
        assert server.lines[-1].endswith(b" LOGOUT")


def test_finish_and_abort_of_what_was_never_opened() -> None:
    with Scripted(imap()) as server:
        source(server).finish()
        source(server).abort()
        assert server.connections == 0


def _flags(*lines: bytes) -> bytes:
    return b"".join(b"* " + line + b"\r\n" for line in lines) + OK


@pytest.mark.parametrize(
    ("flags", "confirmed"),
    [
        (
            _flags(
                b"1 FETCH (UID 1 FLAGS (\\Deleted))",
                b"2 FETCH (FLAGS (\\Seen \\deleted) UID 2)",
                b"3 FETCH (UID 5 FLAGS ())",
            ),
            {"1", "2"},
        ),
        (
            _flags(
                b"1 FETCH (UID 1 FLAGS (\\Deleted))",
                b"2 FETCH (UID 2 FLAGS (\\Deleted))",
                b"3 FETCH (UID 5 FLAGS (\\Flagged \\DELETED))",
            ),
            set(),
        ),  # somebody else's
        (
            _flags(b"1 FETCH (UID 1 FLAGS (\\Deleted))", b"2 FETCH (UID 2 FLAGS (\\Deleted))"),
            set(),
        ),  # one is left out
        (
            _flags(
                b"1 FETCH (UID 1 FLAGS (\\Deleted))",
                b"2 FETCH (UID 2 FLAGS (\\Deleted))",
                b"3 FETCH (UID 5)",
            ),
            set(),
        ),
        (b"TAG NO flags\r\n", set()),
    ],
)
@pytest.mark.parametrize(
    "search", [b"* BYE Internal server error\r\n", b"TAG NO cannot search\r\n"]
)
def test_I25_where_search_ends_the_connection_the_flags_tell_whose_are_deleted(
    search: bytes, flags: bytes, confirmed: set[str]
) -> None:
    """Like go-imap 1, which says BYE to any SEARCH that touches a message it cannot read."""
    present = b"" if confirmed else b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n"
    replies: dict[str, Reply | Sequence[Reply]] = {
        "UID STORE": OK,
        "UID SEARCH": search,
        "EXPUNGE": OK,
        "UID FETCH 1:* (UID FLAGS)": flags,
        "UID FETCH 1:2 (UID)": present + OK,
    }
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        if search.startswith(b"*"):
            with pytest.raises(SourceError):
                opened.delete(listing.folder, listing.messages[:2])
            opened.reconnect()
        deletion = opened.delete(listing.folder, listing.messages[:2])
        assert deletion.confirmed == confirmed
        assert (b"EXPUNGE" in [line.partition(b" ")[2] for line in server.lines]) == bool(confirmed)
        assert sum(b" SEARCH " in line for line in server.lines) == (
            1 if search.startswith(b"*") else 2
        )
        opened.finish()


def test_where_the_search_after_deleting_ends_the_connection_another_look_is_taken() -> None:
    replies = GONE | {
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": OK,
        "UID SEARCH": b"* BYE Internal server error\r\n",
        "UID FETCH 1:2 (UID)": b"* 1 FETCH (UID 2)\r\n" + OK,
    }
    del replies["UID SEARCH UID"]
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        with pytest.raises(SourceError):
            opened.delete(listing.folder, listing.messages[:2])
        opened.reconnect()
        deletion = opened.delete(listing.folder, listing.messages[:2])
        opened.finish()
        assert deletion.confirmed == {"1"}
        assert sum(b" SEARCH " in line for line in server.lines) == 1


def test_a_connection_that_ends_after_the_search_is_no_fault_of_the_search() -> None:
    """The server does not say that both were expunged, so it is asked once more after a NOOP."""
    replies: dict[str, Reply | Sequence[Reply]] = {
        **GONE,
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE": OK,
        "UID FETCH 1:2 (UID)": (b"* BYE Internal server error\r\n", OK),
    }
    with Scripted(imap(replies)) as server:
        opened = source(server)
        listing = inbox(opened, writable=True)
        with pytest.raises(SourceError):
            opened.delete(listing.folder, listing.messages[:2])
        opened.reconnect()
        assert opened.delete(listing.folder, listing.messages[:2]).confirmed == {"1", "2"}
        opened.finish()
        assert sum(b" SEARCH " in line for line in server.lines) == 2


def test_what_was_expunged_of_one_set_is_not_counted_for_another() -> None:
    """Of the second half the server tells nothing, and its SEARCH does not show what it has."""
    replies: dict[str, Reply | Sequence[Reply]] = {
        **GONE,
        "CAPABILITY": UIDPLUS,
        "UID EXPUNGE 1:2": b"TAG NO not both\r\n",
        "UID EXPUNGE 1": b"* 1 EXPUNGE\r\n" + OK,
        "UID EXPUNGE 2": OK,
        "UID FETCH 2 (UID)": b"* 1 FETCH (UID 2)\r\n" + OK,
    }
    deletion, sent = deleted(replies)
    assert deletion.confirmed == {"1"}
    assert sent[-2:] == [b"NOOP", b"UID FETCH 2 (UID)"]


@pytest.mark.parametrize(
    "look",
    [
        {"UID SEARCH UID": b"* SEARCH 5 7\r\n" + OK, "UID FETCH 1:2 (UID)": OK},
        {
            "UID SEARCH UID": b"TAG NO search\r\n",
            "UID FETCH 1:2 (UID)": b"* 1 FETCH (UID 5)\r\n" + OK,
        },
    ],
)
def test_I31_a_look_that_shows_other_messages_says_nothing_of_ours(look: dict[str, Reply]) -> None:
    deletion, _ = deleted(GONE | {"CAPABILITY": UIDPLUS, "UID EXPUNGE": OK} | look)
    assert deletion == Deletion(confirmed=frozenset({"1", "2"}))


def test_I12_a_server_that_shows_expunged_messages_until_noop_is_asked_after_it() -> None:
    gone: list[bytes] = []

    def noop(client: Client, line: bytes) -> None:
        gone.append(line)
        client.send(tagged(line, b"* 3 EXPUNGE\r\n" + OK))

    def look(client: Client, line: bytes) -> None:
        client.send(tagged(line, (b"" if gone else b"* 3 FETCH (UID 5)\r\n") + OK))

    there = b"".join(fetched(uid, BODIES[uid]) for uid in (1, 2))
    with Scripted(
        imap(
            {
                "UID FETCH 1:2,5 (UID BODY": there + OK,
                "NOOP": noop,
                "UID FETCH 5 (UID)": look,
                "UID FETCH 5 (UID BODY": OK,
            }
        )
    ) as server:
        opened = source(server)
        assert collect(opened, inbox(opened)) == [BODIES[1], BODIES[2], "vanished"]
        opened.finish()
