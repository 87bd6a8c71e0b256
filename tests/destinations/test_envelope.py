"""Addresses as a mail system gets them."""

from __future__ import annotations

import pytest

from reconciler.destinations.transfer.envelope import (
    can_be_sent,
    needs_utf8,
    on_wire,
    sender_on_wire,
)
from reconciler.mail.addresses import Address


@pytest.mark.parametrize(
    ("address", "with_utf8", "without"),
    [
        ("a@b.example", "a@b.example", "a@b.example"),
        ("a b@b.example", '"a b"@b.example', '"a b"@b.example'),
        ('"a b"@b.example', '"a b"@b.example', '"a b"@b.example'),
        ('"@b.example', r'"\""@b.example', r'"\""@b.example'),
        ('"a@b.example', r'"\"a"@b.example', r'"\"a"@b.example'),
        ('a"@b.example', r'"a\""@b.example', r'"a\""@b.example'),
        ("a@bücher.example", "a@bücher.example", "a@xn--bcher-kva.example"),
    ],
)
def test_an_address_on_the_wire(address: str, with_utf8: str, without: str) -> None:
    assert on_wire(address, utf8=True) == with_utf8
    assert on_wire(address, utf8=False) == without


def test_what_needs_smtputf8() -> None:
    assert [can_be_sent("ä@b.example", utf8=utf8) for utf8 in (True, False)] == [True, False]
    assert can_be_sent("a@bücher.example", utf8=False)
    assert [needs_utf8(found) for found in ([], ["a@b"], ["a@b", "ä@b"])] == [False, False, True]


def test_a_sender_that_does_not_fit_is_the_null_sender() -> None:
    assert sender_on_wire(None, utf8=True) == ""
    assert sender_on_wire(Address("ä", "b.example"), utf8=False) == ""
    assert sender_on_wire(Address("ä", "b.example"), utf8=True) == "ä@b.example"
