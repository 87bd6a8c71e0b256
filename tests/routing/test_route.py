"""What `route` tells besides the recipients, whom it asks, and how much it reads."""

from __future__ import annotations

import json

import pytest

from reconciler.collect.routing import own_address, route
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.routing_answer import Considered
from reconciler.model.spec import RecipientSpec, SourceSpec

SEED = RecipientSpec.model_validate(
    {
        "detect": {
            "from": ["почта.рф"],
            "to": "икс.рф",
            "mailboxes": ["раз", "два"],
            "default": "info@икс.рф",
        }
    }
)
ASKED = RecipientSpec.model_validate({"detect": {"from": ["firm.example"], "to": "box.example"}})


def unasked(address: str) -> bool | None:
    raise AssertionError(f"nobody was to be asked about {address}")


def test_what_was_considered_and_refused() -> None:
    head = (
        "Delivered-To: пример@xn--80a1acny.xn--p1ai\n"
        "Received: from a by b\n\tfor <corp@far.example>; x\n"
        'To: "a\x07" <x y@почта.рф>, РАЗ@Почта.рф,\n раз@почта.рф, четыре@почта.рф\n\n'
    ).encode()
    routing = route(head, SEED, "пример@почта.рф", unasked)
    assert routing.considered == (
        Considered("Delivered-To", 1, "пример@почта.рф", "own-address"),
        Considered("Received", 2, "corp@far.example", "other-domain"),
        Considered("To", 4, "x y@почта.рф", "no-address"),
        Considered("To", 4, "РАЗ@почта.рф", "recipient"),
        Considered("To", 4, "раз@почта.рф", "repeated"),
        Considered("To", 4, "четыре@почта.рф", "unknown-mailbox"),
    )


def test_the_json_of_route() -> None:
    routing = route("To: раз@почта.рф\n\n".encode(), SEED, None, unasked)
    assert json.loads(json.dumps(routing.declared())) == {
        "recipients": [
            {
                "address": "раз@икс.рф",
                "tier": "to-cc",
                "header": "To",
                "line": 1,
                "rule": "mailboxes",
            }
        ],
        "parked": False,
        "reason": "",
        "considered": [
            {"header": "To", "line": 1, "address": "раз@почта.рф", "verdict": "recipient"}
        ],
    }


def test_lower_tiers_are_neither_read_nor_asked_about() -> None:
    asked: list[str] = []

    def exists(address: str) -> bool:
        asked.append(address)
        return True

    head = b"X-Original-To: a@firm.example\nDelivered-To: b@firm.example\nTo: c@firm.example\n\n"
    assert [each.header for each in route(head, ASKED, None, exists).considered] == [
        "X-Original-To"
    ]
    assert asked == ["a@box.example"]


def test_a_destination_that_cannot_tell_counts_as_yes() -> None:
    (found,) = route(b"To: a@firm.example\n\n", ASKED, None, lambda _: None).recipients
    assert (found.address, found.rule) == ("a@box.example", "destination")


def test_a_destination_that_is_not_there_is_not_swallowed() -> None:
    def exists(address: str) -> bool:
        raise DestinationUnavailable("no such socket")

    with pytest.raises(DestinationUnavailable):
        route(b"To: a@firm.example\n\n", ASKED, None, exists)


def test_M4_what_stands_beyond_the_bound_is_not_read() -> None:
    junk = b"Received: by x with a long story\n" * 40_000
    assert (
        route(junk + "To: раз@почта.рф\n\n".encode(), SEED, None, unasked).reason
        == "no-recipient-found"
    )
    assert route("To: раз@почта.рф\n".encode() + junk, SEED, None, unasked).reason == ""


def test_M4_a_field_that_is_cut_at_the_bound_does_not_count() -> None:
    field = "To: раз@почта.рф".encode()
    junk = b"X: " + b"x" * ((1 << 20) - len(field) - 4) + b"\n"
    assert len(junk + field) == 1 << 20
    assert (
        route(junk + field + b".far.example\n\n", SEED, None, unasked).reason
        == "no-recipient-found"
    )
    folded = b"X: " + b"x" * ((1 << 20) - len(field) - 6) + b"\n" + field + b"\n "
    assert route(folded + b".far.example\n\n", SEED, None, unasked).reason == "no-recipient-found"


def test_M4_nobody_makes_us_deliver_any_number_of_copies() -> None:
    to = ", ".join(f"u{number}@firm.example" for number in range(5000))
    assert len(route(f"To: {to}\n\n".encode(), ASKED, None, lambda _: True).recipients) == 1000


@pytest.mark.parametrize(
    ("declared", "own"),
    [
        ({"username": "пример@почта.рф"}, "пример@почта.рф"),
        ({"username": "user"}, None),
        ({"username": "user", "address": "a@b"}, "a@b"),
        ({"username": "x@y", "address": "a@b"}, "a@b"),
        ({"username": "user@"}, None),
    ],
)
def test_the_accounts_own_address(declared: dict[str, str], own: str | None) -> None:
    source = SourceSpec.model_validate(
        {"protocol": "imap", "host": "h", "password": {"env": "X"}, **declared}
    )
    assert own_address(source) == own


def test_behind_an_address_that_cannot_be_delivered_to_nothing_is_considered() -> None:
    head = "Resent-To: раз@почта.рф\nTo: два@почта.рф\n\n".encode()
    routing = route(head, SEED, None, unasked, lambda address: not address.startswith("раз"))
    assert [one.header for one in routing.considered] == ["Resent-To"]
    assert [one.address for one in routing.recipients] == ["info@икс.рф"]
