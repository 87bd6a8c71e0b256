"""Reading FETCH responses and writing sets of UIDs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.sources.imap.fetch_responses import Mark, parse_fetch
from reconciler.sources.imap.uid_search import ranges, uid_sets

UIDS = st.sets(st.integers(1, (1 << 32) - 1) | st.integers(1, 300))


@pytest.mark.parametrize(
    ("text", "uid", "size"),
    [
        (b"(UID 5 RFC822.SIZE 100)", 5, 100),
        (b"(RFC822.SIZE 100 UID 5)", 5, 100),
        (b"(uid 5 rfc822.size 0)", 5, 0),
        (b"(FLAGS (\\Seen (deep)) UID 5 RFC822.SIZE NIL)", 5, None),
        (b"(UID 4294967296 RFC822.SIZE x)", None, None),
        (b"(UID 4294967295)", (1 << 32) - 1, None),
        (b'(MODSEQ (12) X-GM-MSGID 9 UID 7 INTERNALDATE "a )(b")', 7, None),
    ],
)
def test_uids_and_sizes_in_any_order(text: bytes, uid: int | None, size: int | None) -> None:
    fetched = parse_fetch(text, [])
    assert (fetched.uid, fetched.size) == (uid, size)


def test_literals_stand_where_they_came() -> None:
    fetched = parse_fetch(b"(BODY[] {3} UID 1 BINARY[] ~{9})", [b"a)(", Mark.TOO_LARGE])
    assert fetched.attributes == {b"BODY[]": b"a)(", b"UID": b"1", b"BINARY[]": Mark.TOO_LARGE}


PIECES = [b"(", b")", b" ", b"UID", b"5", b"{3}", b"~{3}", b'"', b'"a"', b"NIL", b"\\", b"\xff"]


@example([b"(", b")", b"NIL"], 0)
@given(st.lists(st.sampled_from(PIECES)), st.integers(0, 3))
def test_anything_else_is_an_error(pieces: list[bytes], literals: int) -> None:
    text = b"".join(pieces)
    try:
        parse_fetch(text, [b""] * literals)
    except ValueError:
        return
    assert text.strip(b" ").startswith(b"(")
    assert text.strip(b" ").endswith(b")")


@given(UIDS)
def test_sets_hold_exactly_what_they_are_made_of(uids: set[int]) -> None:
    assert {uid for first, last in ranges(uids) for uid in (first, last)} <= uids
    assert sum(last - first + 1 for first, last in ranges(uids)) == len(uids)
    written = list(uid_sets(uids))
    assert set().union(*(members for _, members in written)) == uids
    assert all(len(text) < 930 for text, _ in written)


def test_a_set_is_written_in_runs() -> None:
    assert [text for text, _ in uid_sets([7, 1, 2, 3, 9, 2])] == ["1:3,7,9"]
    assert list(uid_sets([])) == []
