"""Line ends, size and fingerprint do not depend on how a message is cut into chunks."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.collect.incoming_message import (
    HEAD_BOUND,
    IncomingMessage,
    fingerprint,
    header_digest,
    unify_line_ends,
)
from reconciler.model.errors import ProtocolViolation

TEXTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"Subject: x", b"\0", b"\n\n", b"."]), max_size=30
)


def cut(whole: bytes, borders: Sequence[int]) -> list[bytes]:
    places = sorted({border % (len(whole) + 1) for border in borders} | {0, len(whole)})
    return [whole[start:end] for start, end in itertools.pairwise(places)]


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=8))
def test_unifying_does_not_depend_on_the_chunks(parts: list[bytes], borders: list[int]) -> None:
    whole = b"".join(parts)
    assert b"".join(unify_line_ends(cut(whole, borders))) == whole.replace(b"\r\n", b"\n")


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=8), st.booleans())
def test_fingerprint_is_of_the_unified_bytes_without_trailing_line_ends(
    parts: list[bytes], borders: list[int], head_first: bool
) -> None:
    whole = b"".join(parts)
    incoming = IncomingMessage(cut(whole, borders), 1 << 20)
    if head_first:
        incoming.head()
    stored = b"".join(incoming)

    header = b"" if stored.startswith(b"\n") else stored.partition(b"\n\n")[0]
    assert incoming.size == len(stored)
    assert incoming.fingerprint.content == digest(stored)
    assert incoming.fingerprint.header == digest(header)
    assert header_digest(header.replace(b"\n", b"\r\n") + b"\r\n\r\n") in (None, digest(header))


def digest(text: bytes) -> str:
    """IMAP shows NUL as 0x80, so that is no difference."""
    return hashlib.sha256(text.rstrip(b"\n").replace(b"\0", b"\x80")).hexdigest()


def test_a_header_that_servers_may_see_otherwise_has_no_digest_of_its_own() -> None:
    whole = b"Subject: a\r\n folded: b\r\nX-Y: \0\r\n\r\n"
    assert header_digest(whole) == header_digest(whole[:-2]) == fingerprint([whole, b"text"]).header
    for odd in (
        b"",
        b"\r\n",
        b"no field\r\n\r\n",
        b"From a@b Mon\r\nA: 1\r\n\r\n",
        b" A: 1\r\n\r\n",
        b"A : 1\r\n\r\n",
    ):
        assert header_digest(odd) is None


def test_the_same_message_by_either_line_end_has_one_fingerprint() -> None:
    assert fingerprint([b"A: 1\r\n\r\nbody\r\n\r\n"]) == fingerprint([b"A: 1\n\nbody"])


def test_the_head_holds_the_header_block_and_nothing_is_read_twice() -> None:
    incoming = IncomingMessage(iter([b"A: 1\r\nB: ", b"2\r\n\r", b"\nbody", b" and more"]), 1 << 20)
    assert incoming.head().startswith(b"A: 1\nB: 2\n\n")
    assert b"".join(incoming) == b"A: 1\nB: 2\n\nbody and more"


def test_M4_a_header_block_of_10_MB_is_looked_at_within_bounds() -> None:
    line = b"X-Long: " + b"a" * 1000 + b"\r\n"
    incoming = IncomingMessage((line * 64 for _ in range(160)), 1 << 30)
    assert HEAD_BOUND <= len(incoming.head()) < HEAD_BOUND + 64 * len(line)
    assert sum(map(len, incoming)) == 160 * 64 * (len(line) - 1)


def test_more_octets_than_allowed_end_the_message() -> None:
    incoming = IncomingMessage(iter([b"x" * 600, b"x" * 600]), 1000)
    with pytest.raises(ProtocolViolation, match="larger than the server announced"):
        list(incoming)


@pytest.mark.parametrize("whole", [b"A: 1\nB: 2\n\nbody\n\nmore\n", b"\nbody", b"A: 1\r\n\r\nbody"])
def test_the_fingerprint_does_not_depend_on_where_the_chunks_end(whole: bytes) -> None:
    for border in range(len(whole) + 1):
        assert fingerprint([whole[:border], whole[border:]]) == fingerprint([whole])
