"""Find the addresses in a message's header that may be its recipients, tier by tier: field, line
and address."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from msgspec import Struct

from reconciler.mail.addresses import Address, addresses, comparison_form, for_clause
from reconciler.mail.headers import Field, fields
from reconciler.model.routing_answer import Tier

DECIDING: dict[Tier, tuple[str, ...]] = {
    "envelope": ("x-envelope-to", "envelope-to", "x-rcpt-to", "x-original-to"),
    "delivered-to": ("delivered-to",),
    "received": ("received",),
}
"""Tiers in which the topmost field with an address that counts decides."""
UNITED: dict[Tier, tuple[str, ...]] = {
    "resent": ("resent-to", "resent-cc", "resent-bcc"),
    "to-cc": ("to", "cc", "bcc"),
}
"""Tiers in which every known recipient of every field counts."""
_READ = frozenset(name for names in (*DECIDING.values(), *UNITED.values()) for name in names)
ADDRESSES = 1000
"""Addresses of a message that are read at most: a stranger must not be able to cause ten thousand
copies of one message."""


class FoundAddress(Struct, frozen=True):
    """An address and where it was found. A `str` is text that cannot be read as an address."""

    header: str
    line: int
    address: Address | str


class HeaderEvidence:
    """The header fields of one message. Each is read only when its addresses are asked for."""

    def __init__(self, head: bytes, header: str | None, prefix: str | None) -> None:
        self._prefix = unicodedata.normalize("NFC", prefix or "")
        self._left = ADDRESSES
        self._fields = list(fields(head, _READ if header is None else {header.lower()}))

    def occurrences(self, names: tuple[str, ...]) -> Iterator[list[FoundAddress]]:
        """Yield the addresses of each field with one of these names, from the top."""
        for field in self._fields:
            if field.name.lower() in names and self._left > 0:
                yield list(self._found(field))

    def _found(self, field: Field) -> Iterator[FoundAddress]:
        name = field.name.lower()
        for address in for_clause(field.value) if name == "received" else addresses(field.value):
            shorter = (
                self.unprefixed(address)
                if name == "delivered-to" and isinstance(address, Address)
                else address
            )
            if self._left > 0:
                yield FoundAddress(field.name, field.line, shorter)
            self._left -= 1

    def unprefixed(self, address: Address) -> Address:
        """Return the address without the prefix that qmail adds for a virtual domain:
        `prefix-user@host` stands for `user@host`."""
        start, rest = address.local[: len(self._prefix)], address.local[len(self._prefix) :]
        if rest and comparison_form(start) == comparison_form(self._prefix):
            return Address(rest, address.domain)
        return address
