"""Line ends on the way to a mail system."""

from __future__ import annotations

import pytest

from reconciler.destinations.transfer.line_ends import canonical_lines, stuff_dots


@pytest.mark.parametrize(
    ("chunks", "sent"),
    [
        ([], b""),
        ([b"a"], b"a\r\n"),
        ([b"a\r\nb\n"], b"a\r\nb\r\n"),
        ([b"a\rb"], b"a\r\nb\r\n"),
        ([b"a\r", b"\nb\r\n"], b"a\r\nb\r\n"),
        ([b"a\r", b"b\r\n"], b"a\r\nb\r\n"),
        ([b"a\r"], b"a\r\n"),
        ([b"\r"], b"\r\n"),
        ([b"a\r\n", b"\r"], b"a\r\n\r\n"),
        ([b"a\n", b""], b"a\r\n"),
    ],
    ids=str,
)
def test_each_line_ends_with_crlf_wherever_the_chunks_are_cut(
    chunks: list[bytes], sent: bytes
) -> None:
    assert b"".join(canonical_lines(chunks)) == sent


@pytest.mark.parametrize(
    ("chunks", "sent"),
    [
        ([b".\r\n"], b"..\r\n"),
        ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n"),
        ([b"a\r\n.b\r\n"], b"a\r\n..b\r\n"),
        ([b"a", b".b\r\n"], b"a.b\r\n"),
    ],
    ids=str,
)
def test_leading_dots_are_doubled(chunks: list[bytes], sent: bytes) -> None:
    assert b"".join(stuff_dots(chunks)) == sent
