"""How many addresses of a message are read, and as what."""

from __future__ import annotations

import pytest

from reconciler.collect.routing import header_evidence
from reconciler.collect.routing.header_evidence import HeaderEvidence

HEAD = b"To: a@x, b@x\nCc: c@x, d@x\nX: z@x\nto: e@x\n\n"


@pytest.mark.parametrize("most", range(1, 7))
def test_so_many_addresses_are_read_at_most(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_evidence, "ADDRESSES", most)
    found = [
        [str(one.address) for one in field]
        for field in HeaderEvidence(HEAD, None, None).occurrences(("to", "cc"))
    ]
    assert [one for field in found for one in field] == ["a@x", "b@x", "c@x", "d@x", "e@x"][:most]
    assert all(found)


def test_the_addresses_of_another_field_are_not_read() -> None:
    evidence = HeaderEvidence(HEAD, None, None)
    assert [[one.line for one in field] for field in evidence.occurrences(("cc",))] == [[2, 2]]
    assert [*HeaderEvidence(HEAD, "Cc", None).occurrences(("to",))] == []


@pytest.mark.parametrize(
    ("field", "prefix", "read"),
    [
        ("Delivered-To", "shop-", "a@x"),
        ("Delivered-To", "SHOP-", "a@x"),
        ("Delivered-To", "other-", "shop-a@x"),
        ("Delivered-To", "shop-a", "shop-a@x"),
        ("Delivered-To", None, "shop-a@x"),
        ("To", "shop-", "shop-a@x"),
    ],
)
def test_the_prefix_of_a_virtual_domain_is_taken_off(
    field: str, prefix: str | None, read: str
) -> None:
    head = f"{field}: shop-a@x\n\n".encode()
    [[found]] = HeaderEvidence(head, None, prefix).occurrences((field.lower(),))
    assert str(found.address) == read
