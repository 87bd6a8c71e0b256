"""What a message's header says of its recipients, tier by tier: which field, which line, which
address."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from msgspec import Struct

from reconciler.mail.addresses import Address, addresses, comparable, for_clause
from reconciler.mail.headers import Field, fields
from reconciler.model.routing_answer import Tier

DECIDING: dict[Tier, tuple[str, ...]] = {
    "envelope": ("x-envelope-to", "envelope-to", "x-rcpt-to", "x-original-to"),
    "delivered-to": ("delivered-to",),
    "received": ("received",),
}
"""Of these the topmost field decides that holds an address that counts."""
UNITED: dict[Tier, tuple[str, ...]] = {
    "resent": ("resent-to", "resent-cc", "resent-bcc"),
    "to-cc": ("to", "cc", "bcc"),
}
"""Of these every known recipient of every field counts."""
_READ = frozenset(name for names in (*DECIDING.values(), *UNITED.values()) for name in names)
ADDRESSES = 1000
"""So many of a message's addresses are looked at: nobody makes us deliver ten thousand copies of
one message."""


class FoundAddress(Struct, frozen=True):
    """An address at its place; a `str` is one that cannot be read."""

    header: str
    line: int
    address: Address | str


class Evidence:
    """The header fields of one message, each read no further than the decision needs."""

    def __init__(self, head: bytes, header: str | None, prefix: str | None) -> None:
        self._prefix = unicodedata.normalize("NFC", prefix or "")
        self._left = ADDRESSES
        self._fields = list(fields(head, _READ if header is None else {header.lower()}))

    def occurrences(self, names: tuple[str, ...]) -> Iterator[list[FoundAddress]]:
        """The addresses of each field of these names, from the top."""
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
        """qmail writes `prefix-user@host` for a virtual domain's `user@host`."""
        start, rest = address.local[: len(self._prefix)], address.local[len(self._prefix) :]
        if rest and comparable(start) == comparable(self._prefix):
            return Address(rest, address.domain)
        return address
