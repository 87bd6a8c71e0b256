"""Addresses as they go onto the wire, with and without SMTPUTF8 (RFC 6531)."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.mail.addresses import Address, a_label, quoted


def fits(address: str, *, utf8: bool) -> bool:
    """Whether this address can be sent at all."""
    local, _, _ = address.rpartition("@")
    return utf8 or local.isascii()


def on_wire(address: str, *, utf8: bool) -> str:
    """Of an address that fits: with SMTPUTF8 as it is shown, without it the domain as A-labels; the
    local part is never changed. Octets that would end the command are never in it: every address
    passed a manifest's schema or `mail.addresses`."""
    local, _, domain = address.rpartition("@")
    if not (len(local) > 1 and local.startswith('"') and local.endswith('"')):
        local = quoted(local)
    return f"{local}@{domain if utf8 else a_label(domain)}"


def sender_on_wire(sender: Address | None, *, utf8: bool) -> str:
    """The sender, or the null one where there is none or it cannot be said here."""
    if sender is None or not fits(str(sender), utf8=utf8):
        return ""
    return on_wire(str(sender), utf8=utf8)


def needs_utf8(addresses: Sequence[str]) -> bool:
    return not all(address.isascii() for address in addresses)
