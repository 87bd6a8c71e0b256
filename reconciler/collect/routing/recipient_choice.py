"""The recipients of a message: the tiers of header fields, their order, and which one decides.

The order: `header` if the manifest names one, and then no other; envelope; delivered-to; received;
resent; to-cc; default. In the first four, the topmost field with an address of a `from` domain
decides, even if no mailbox here has that address. The last server on the way wrote it. A Received
field without a `for` clause, or with a foreign domain there, is skipped in favour of the next one
below. An account that collects for many has its own address in the Delivered-To and Received of
every message; there it is ignored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from reconciler.collect.routing.header_evidence import (
    DECIDING,
    UNITED,
    FoundAddress,
    HeaderEvidence,
)
from reconciler.collect.routing.mailbox_lookup import Exists, Mailboxes
from reconciler.mail.addresses import Address, a_label, comparison_form, parse, u_label
from reconciler.model.routing_answer import (
    Considered,
    Reason,
    RoutedRecipient,
    Routing,
    Tier,
    Verdict,
)
from reconciler.model.spec import Detect, RecipientSpec, SourceSpec

Deliverable = Callable[[str], bool]
"""Takes an address; returns whether the destination's protocol can carry it (SMTPUTF8, RFC
6531)."""


def own_address(source: SourceSpec) -> str | None:
    """Return the account's own address: `address`, else the username if it is an address."""
    return source.address or (source.username if "@" in source.username.strip("@") else None)


def route(
    head: bytes,
    recipient: RecipientSpec,
    account: str | None,
    exists: Exists,
    deliverable: Deliverable = lambda _: True,
) -> Routing:
    """Return the recipients of the message that begins with `head` (the whole header block, or
    `mail.headers.HEAD` octets).

    `account` is the account's own address. `exists` and `deliverable` may raise
    `DestinationUnavailable`; nothing else is raised.
    """
    if recipient.detect is None:
        address, to = _forward(recipient.forward_to or "")
        return to if deliverable(address) else Routing((), parked=True, reason="smtputf8-missing")
    return _Detection(head, recipient.detect, account, exists, deliverable).route()


def shown(address: str) -> str:
    """Return a declared address with its domain as U-label."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{u_label(domain)}"


@functools.lru_cache(1024)
def _forward(declared: str) -> tuple[str, Routing]:
    address = shown(declared)
    return address, Routing((RoutedRecipient(address, "forward", None, None, "forwardTo"),))


_Counting = tuple[FoundAddress, Address]


class _Detection:
    """The detection for one message."""

    def __init__(
        self,
        head: bytes,
        detect: Detect,
        account: str | None,
        exists: Exists,
        deliverable: Deliverable,
    ) -> None:
        self._detect = detect
        self._mailboxes = Mailboxes(detect, exists)
        self._evidence = HeaderEvidence(head, detect.header, detect.strip_prefix)
        self._deliverable = deliverable
        self._own = self._own_addresses(account)
        self._considered: list[Considered] = []
        self._recipients: dict[str, RoutedRecipient] = {}
        self._undeliverable: FoundAddress | None = None
        self._unknown: FoundAddress | None = None

    def route(self) -> Routing:
        for tier, counting in self._tiers():
            for found, address in counting:
                self._decide(tier, found, address)
            if self._recipients or self._undeliverable:
                break
        if self._undeliverable:
            return self._fall_back("smtputf8-missing", self._undeliverable)
        if self._recipients:
            return Routing(tuple(self._recipients.values()), considered=tuple(self._considered))
        return self._fall_back(
            "unknown-mailbox" if self._unknown else "no-recipient-found", self._unknown
        )

    def _own_addresses(self, account: str | None) -> set[tuple[str, str]]:
        own = parse(account) if account else None
        return {_identity(each) for each in (own, self._evidence.unprefixed(own))} if own else set()

    def _tiers(self) -> Iterator[tuple[Tier, list[_Counting]]]:
        """Yield the tiers that are present, each with the addresses that count."""
        header = self._detect.header
        deciding: dict[Tier, tuple[str, ...]] = (
            DECIDING if header is None else {"header": (header.lower(),)}
        )
        for tier, names in deciding.items():
            for occurrence in self._evidence.occurrences(names):
                if counting := self._counting(tier, occurrence):
                    yield tier, counting
                    return
        for tier, names in UNITED.items() if header is None else ():
            united = [
                each
                for occurrence in self._evidence.occurrences(names)
                for each in self._counting(tier, occurrence)
            ]
            if united:
                yield tier, united

    def _counting(self, tier: Tier, occurrence: list[FoundAddress]) -> list[_Counting]:
        """Return the addresses of a field that count in this tier, and note the others."""
        counting = []
        for found in occurrence:
            if isinstance(found.address, str):
                self._note(found, "no-address")
            elif verdict := self._objection(tier, found.address):
                self._note(found, verdict)
            else:
                counting.append((found, found.address))
        return counting

    def _objection(self, tier: Tier, address: Address) -> Verdict | None:
        if (
            tier in ("delivered-to", "received")
            and _identity(address) in self._own
            and not self._mailboxes.declares(address.local)
        ):
            return "own-address"
        return None if self._mailboxes.accepts(address.domain) else "other-domain"

    def _decide(self, tier: Tier, found: FoundAddress, address: Address) -> None:
        known = self._mailboxes.find(address.local)
        if known is None:
            self._unknown = self._unknown or found
            self._note(found, "unknown-mailbox")
        elif not self._deliverable(known[0]):
            self._undeliverable = self._undeliverable or found
            self._note(found, "smtputf8-missing")
        else:
            self._note(
                found,
                self._add(RoutedRecipient(known[0], tier, found.header, found.line, known[1])),
            )

    def _add(self, recipient: RoutedRecipient) -> Verdict:
        local, _, domain = recipient.address.rpartition("@")
        key = f"{comparison_form(local)}@{domain}"
        if key in self._recipients:
            return "repeated"
        self._recipients[key] = recipient
        return "recipient"

    def _fall_back(self, reason: Reason, found: FoundAddress | None) -> Routing:
        """Add the default recipient to those found. Without a default, park the message."""
        default = self._detect.default and shown(self._detect.default)
        usable = bool(default) and self._deliverable(default or "")
        if default and usable:
            header, line = (found.header, found.line) if found else (None, None)
            self._add(RoutedRecipient(default, "default", header, line, "default"))
        elif default:
            reason = "smtputf8-missing"
        return Routing(
            tuple(self._recipients.values()), not usable, reason, tuple(self._considered)
        )

    def _note(self, found: FoundAddress, verdict: Verdict) -> None:
        self._considered.append(Considered(found.header, found.line, str(found.address), verdict))


def _identity(address: Address) -> tuple[str, str]:
    return comparison_form(address.local), a_label(address.domain)
