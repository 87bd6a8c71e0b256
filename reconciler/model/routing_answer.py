"""Who is to get a message, and why: the answer of `collect.routing`, and what `route` prints."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, to_builtins

Tier = Literal[
    "forward", "header", "envelope", "delivered-to", "received", "resent", "to-cc", "default"
]
Verdict = Literal[
    "recipient",
    "repeated",
    "other-domain",
    "own-address",
    "unknown-mailbox",
    "smtputf8-missing",
    "no-address",
]
"""What became of an address that was looked at; `no-address`: a broken one, which is never
repaired."""
Reason = Literal["", "no-recipient-found", "unknown-mailbox", "smtputf8-missing"]


class RoutedRecipient(Struct, frozen=True):
    """A mailbox that gets the message.

    `header` and `line` (from 1) are those that decided: with tier `default` the ones that named
    nobody here, None where there are none. `rule` is the manifest's field that says so: forwardTo,
    mailboxes, aliases, destination (it was asked) or default.
    """

    address: str
    tier: Tier
    header: str | None
    line: int | None
    rule: str


class Considered(Struct, frozen=True):
    """An address that was looked at on the way to the decision."""

    header: str
    line: int
    address: str
    verdict: Verdict


class Routing(Struct, frozen=True):
    """Where a message goes.

    `parked`: somebody's copy can go nowhere, so the message stays on the server; `recipients` get
    theirs all the same (mostly there are none then). `reason` says why a message is parked, or why
    the default gets it.
    """

    recipients: tuple[RoutedRecipient, ...]
    parked: bool = False
    reason: Reason = ""
    considered: tuple[Considered, ...] = ()

    def declared(self) -> dict[str, Any]:
        """The JSON of `route -o json`."""
        declared: dict[str, Any] = to_builtins(self)
        return declared
