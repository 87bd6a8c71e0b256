"""The headers in which a trusted proxy names its client: the user, and the address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from contextlib import suppress

from starlette.datastructures import Headers

from reconciler.web.access.roles import Principal, Role

_USER = ("x-forwarded-user", "remote-user")
_ROLE = "x-mailcollector-role"
_FROM = "x-forwarded-for"
_LONGEST = 128
_HOPS = 16
"""Hops of a request that are looked at, at most."""
_IDENTITY = frozenset(name.encode() for name in (*_USER, _ROLE, _FROM))


class TrustedProxies:
    """The addresses and networks of trusted proxies. Headers of others are ignored."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(one) for one in addresses]

    def trusts(self, address: str) -> bool:
        """Return whether this address is a trusted proxy's."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if found.version == 6 and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)

    def client(self, peer: str, headers: Headers) -> str:
        """Return where a request came from: the last address of X-Forwarded-For that is no trusted
        proxy's, or the peer itself."""
        hops = [hop.strip() for hop in ",".join(headers.getlist(_FROM)).split(",")][-_HOPS:]
        address = peer
        while self.trusts(address) and hops and (hop := _address(hops.pop())):
            address = hop
        return address

    def principal(self, peer: str, headers: Headers) -> Principal | None:
        """Return the user that a trusted peer names; None where it names none, or two."""
        if not self.trusts(peer):
            return None
        named = {_text(value) for name in _USER for value in headers.getlist(name)} - {""}
        roles = {value.strip().casefold() for value in headers.getlist(_ROLE)} - {""}
        if len(named) != 1 or len(roles) > 1 or not roles <= set(Role):
            return None
        name = named.pop()
        if len(name) > _LONGEST or not name.isprintable():
            return None
        return Principal(name, Role(roles.pop()) if roles else Role.VIEW, "proxy")


def without_identity(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers without those of proxies, which nothing behind the guard may use."""
    return [(name, value) for name, value in headers if name.lower() not in _IDENTITY]


def _text(value: str) -> str:
    """Return a header's text: UTF-8, which starlette reads as Latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace").strip()


def _address(hop: str) -> str:
    """Return the IP address of a hop, which may have a port; "" if it is none."""
    bare = hop.partition("]")[0].removeprefix("[") if hop.startswith("[") else hop
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    with suppress(ValueError):
        return str(ipaddress.ip_address(bare))
    return ""
