"""Dot-stuffing undone across any chunk borders, by a reader that never holds more than a buffer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sources.pop3.multiline_body import MultilineBody
from reconciler.wire.connection import Connection
from reconciler.wire.receive_buffer import ReceiveBuffer
from tests.sources.pop3_scripts import stuff


class Pieces:
    """The part of a connection that a body reads from, filled with pieces of the test's choice."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._waiting = b""
        self._buffer = ReceiveBuffer()
        self.find_dot, self.peek, self.take = (
            self._buffer.find_dot,
            self._buffer.peek,
            self._buffer.take,
        )

    def buffered(self) -> int:
        return len(self._buffer)

    def fill(self, *, bulk: bool) -> None:
        assert bulk
        self._waiting = self._waiting or next(self._pieces)
        space = self._buffer.space()
        piece, self._waiting = self._waiting[: len(space)], self._waiting[len(space) :]
        space[: len(piece)] = piece
        self._buffer.received(len(piece))


def cut(data: bytes, borders: Iterable[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(border for border in borders if border < len(data))})
    return (data[start:end] for start, end in itertools.pairwise(places))


def read(pieces: Iterable[bytes]) -> tuple[bytes, bytes]:
    """The message, and what is left in the buffer."""
    connection = Pieces(pieces)
    body = MultilineBody(cast(Connection, connection))
    message = b"".join(body)
    assert body.complete
    assert body.octets == len(message)
    return message, connection.take(1 << 20)


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b".", b"..", b"...", b".a", b"\n.", b"\n.\n", b"\r", b"\r.", b"a\rb", b"a\n..b"]
        ),
        st.binary(max_size=12),
    ),
    max_size=30,
)


@given(LINES, st.lists(st.integers(1, 400), max_size=60))
def test_any_borders_give_the_message(lines: list[bytes], borders: list[int]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    assert read(cut(stuff(message) + b"+OK next\r\n", borders))[0] == message


@given(LINES)
def test_octet_by_octet(lines: list[bytes]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    wire = stuff(message)
    assert read(cut(wire, range(len(wire)))) == (message, b"")


@pytest.mark.parametrize("size", [65_520, 65_536, 131_072, 262_144, 700_000])
@pytest.mark.parametrize("step", [1000, 4096, 16_384])
def test_large_bodies_are_given_out_in_pieces(size: int, step: int) -> None:
    message = (b"." * 61 + b"\r\n" + b".\r\n\r\n..\r\n") * (size // 70)
    wire = stuff(message) + b"+OK"
    connection = Pieces(wire[start : start + step] for start in range(0, len(wire), step))
    pieces = list(MultilineBody(cast(Connection, connection)))
    assert b"".join(pieces) == message
    assert max(map(len, pieces)) <= 128 << 10
    assert b"+OK".startswith(connection.take(100))


@pytest.mark.parametrize("offset", range(-8, 9))
def test_a_stuffed_dot_at_the_border_of_a_piece(offset: int) -> None:
    message = b"x" * ((64 << 10) + offset) + b"\r\n.\r\n..\r\n" + b"y" * 100_000 + b"\r\n"
    wire = stuff(message)
    for step in (1, 7):
        start = (64 << 10) - 16
        head = [wire[i : i + 8192] for i in range(0, start, 8192)]
        head[-1] = head[-1][: start - 8192 * (len(head) - 1)]
        middle = [wire[i : i + step] for i in range(start, start + 35, step)]
        rest = wire[start + len(middle) * step :]
        tail = [rest[i : i + 8192] for i in range(0, len(rest), 8192)]
        assert read([*head, *middle, *tail])[0] == message


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b".\r\n", b"..\r\n", b"a\r\n", b"a\r\n.\r\n", b"\n.\n\r\n"]
)
def test_small_bodies(message: bytes) -> None:
    assert read([stuff(message) + b"+OK"]) == (message, b"+OK")


@pytest.mark.parametrize("inner", [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r"])
def test_P7_only_crlf_dot_crlf_ends(inner: bytes) -> None:
    assert read([b"begin" + inner + b"end\r\n.\r\n"])[0] == b"begin" + inner + b"end\r\n"


def test_P7_an_undoubled_dot_is_kept() -> None:
    assert read([b".profile\r\n.a\r\n..b\r\n.\r\n"])[0] == b".profile\r\n.a\r\n.b\r\n"


def test_the_reference_is_as_the_rfc_says() -> None:
    wire = stuff(b".\r\n..\r\na.\r\n")
    assert wire == b"..\r\n...\r\na.\r\n.\r\n"
    assert re.sub(rb"(?m)^\.", b"", wire[:-3].replace(b"\r\n", b"\n")) == b".\n..\na.\n"
