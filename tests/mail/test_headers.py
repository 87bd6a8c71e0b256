"""The header reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.mail.headers import HEAD, VALUE, Field, fields
from reconciler.mail.mail_loops import HOPS, loop_reason
from reconciler.model.collector_id import collector_id, collector_key
from reconciler.model.messages import Account, DeliveryId, Folder


def read(head: bytes) -> list[tuple[str, str, int]]:
    return [(field.name, field.value, field.line) for field in fields(head)]


def test_fields_with_their_lines() -> None:
    head = (
        b"From a@b Sun Nov 22 22:40:00 2026\nA: 1\r\n\t2\r\n  3\r\nno field\n no value\nB : "
        b"\xd0\xb9\xff\n"
        b"C:\n\nD: body\n"
    )
    assert read(head) == [("A", "1\t2  3", 2), ("B", "й\udcff", 7), ("C", "", 8)]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (b"\r\n", []),
        (b" A: 1\n", []),
        (b"A: 1", [("A", "1", 1)]),
        (b"A: 1\r\r\n\nB: 2", [("A", "1", 1)]),
        (b"A: 1\n\r\nB: 2", [("A", "1", 1)]),
        (b": 1\n", []),
        (b"A\0: 1\nB: \0\r2\n", [("B", "\0\r2", 2)]),
        (b"A: 1\rB: 2\n", [("A", "1\rB: 2", 1)]),
        (b"A b: 1\n", []),
        (b"A:1\n \n", [("A", "1", 1)]),
        (b"A:\n ", [("A", "", 1)]),
        ("Й: 1\n".encode(), []),
    ],
)
def test_odd_blocks(head: bytes, expected: list[tuple[str, str, int]]) -> None:
    assert read(head) == expected


def test_only_the_names_that_are_asked_for() -> None:
    assert list(fields(b"A: 1\nB: 2\na: 3\n", {"a"})) == [Field("A", "1", 1), Field("a", "3", 3)]


def test_M4_the_scan_is_bounded() -> None:
    line = b"A: " + b"x" * 61 + b"\n"
    whole = line * (HEAD // len(line) + 100)
    assert len(read(whole)) == HEAD // len(line)
    assert read(b"A: 1\n" + b"B: " + b" x\n" * HEAD) == [("A", "1", 1)]
    assert read(b"A: " + b"x" * VALUE + b"\nB: 2\n\n") == [("B", "2", 2)]


_PIECES = st.sampled_from([b"A", b":", b" ", b"\r", b"\n", b"\t", b"x", b"\xff", b"\0"])


@given(st.binary(max_size=300) | st.lists(_PIECES, max_size=60).map(b"".join))
def test_it_never_raises_and_tells_nothing_that_is_not_there(head: bytes) -> None:
    lines = head.split(b"\n")
    for field in fields(head):
        assert lines[field.line - 1].startswith(field.name.encode())
        for word in field.value.split():
            assert word.encode("utf-8", "surrogateescape") in head
        assert "\n" not in field.value


def test_M10_loops() -> None:
    account = Account("imap", "imap.example", 993, "sales")
    message = DeliveryId("sales", 1, Folder(account, "INBOX", 7), "1")
    key = collector_key("sales", account)
    assert key == collector_key("sales", Account("pop3", "imap.example", 995, "sales"))
    assert key != collector_key("sales", Account("imap", "imap.other", 993, "sales"))
    assert loop_reason(f"A: b\nx-collector-id: {collector_id(message)}\n\n".encode(), key)
    assert not loop_reason(f"x-collector-id: {collector_id(message)}\n\n".encode(), "0" * 16)
    assert not loop_reason(b"Received: x\n" * HOPS + b"\n", key)
    assert loop_reason(b"Received: x\n" * (HOPS + 1) + b"\n", key)
