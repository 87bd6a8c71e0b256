"""Addresses as they are sent, with and without SMTPUTF8 (RFC 6531)."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.mail.addresses import Address, a_label, quoted


def can_be_sent(address: str, *, utf8: bool) -> bool:
    """Return whether this address can be sent. `utf8`: the server offers SMTPUTF8."""
    local, _, _ = address.rpartition("@")
    return utf8 or local.isascii()


def on_wire(address: str, *, utf8: bool) -> str:
    """Return an address that fits as it is sent: unchanged with SMTPUTF8, else with the domain as
    A-labels. The local part is quoted where needed, never changed.

    No address has octets that would end the command: each one passed a manifest's schema or
    `mail.addresses`.
    """
    local, _, domain = address.rpartition("@")
    if not (len(local) > 1 and local.startswith('"') and local.endswith('"')):
        local = quoted(local)
    return f"{local}@{domain if utf8 else a_label(domain)}"


def sender_on_wire(sender: Address | None, *, utf8: bool) -> str:
    """Return the sender as it is sent; empty (the null sender) where there is none, or where it
    does not fit."""
    if sender is None or not can_be_sent(str(sender), utf8=utf8):
        return ""
    return on_wire(str(sender), utf8=utf8)


def needs_utf8(addresses: Sequence[str]) -> bool:
    """Return whether any of these addresses needs SMTPUTF8."""
    return not all(address.isascii() for address in addresses)
