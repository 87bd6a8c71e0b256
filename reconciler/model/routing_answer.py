"""The result of routing: the recipients of a message and the reasons (`collect.routing`)."""

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
"""The result for an examined address. `no-address` is a malformed one, which is never repaired."""
Reason = Literal["", "no-recipient-found", "unknown-mailbox", "smtputf8-missing"]


class RoutedRecipient(Struct, frozen=True):
    """A mailbox that receives the message.

    - `header` and `line` (from 1) are those that decided. For tier `default` they are those without
      a known recipient, or None if there are none.
    - `rule` is the field of the manifest that decided: forwardTo, mailboxes, aliases, destination
      (after asking it) or default.
    """

    address: str
    tier: Tier
    header: str | None
    line: int | None
    rule: str


class Considered(Struct, frozen=True):
    """An address that was examined for the decision."""

    header: str
    line: int
    address: str
    verdict: Verdict


class Routing(Struct, frozen=True):
    """The routing of a message.

    `parked` means that a copy cannot be delivered, so that the message stays on the server. The
    `recipients`, if any, get their copies nevertheless. `reason` explains why a message is parked
    or goes to the default.
    """

    recipients: tuple[RoutedRecipient, ...]
    parked: bool = False
    reason: Reason = ""
    considered: tuple[Considered, ...] = ()

    def declared(self) -> dict[str, Any]:
        """Return the JSON of `route -o json`."""
        declared: dict[str, Any] = to_builtins(self)
        return declared
