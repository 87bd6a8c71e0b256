"""What the administrator allows manifests to name, as the adapters ask for it. `manifests.policy_file`
reads it."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from reconciler.model.errors import PolicyRefused

Role = Literal["sources", "destinations", "tokens", "proxies"]
"""Proxies are named by the administrator's environment, not by manifests."""
Roots = tuple[str, ...] | None
"""Directories; None: anywhere."""
Hosts = tuple[str, ...] | None
"""Patterns of names, addresses and networks; None: any."""


class Allowed(Struct, frozen=True):
    """Without a policy everything is allowed."""

    file: str = ""
    """The policy's; empty where there is none."""
    secret_files: Roots = None
    ca_files: Roots = None
    sockets: Roots = None
    maildirs: Roots = None
    programs: tuple[str, ...] | None = None
    env_prefix: str | None = ""
    """None: no variable at all."""
    variables_passed_on: tuple[str, ...] = ()
    sources: Hosts = None
    destinations: Hosts = None
    tokens: Hosts = None

    def hosts(self, role: Role) -> Hosts:
        return {
            "sources": self.sources,
            "destinations": self.destinations,
            "tokens": self.tokens,
        }.get(role)

    def program(self, argv: Sequence[str]) -> bool:
        """By its whole path, as it stands in the manifest: what PATH finds is not ours to tell."""
        return self.programs is None or argv[0] in self.programs

    def variable(self, name: str) -> bool:
        """None of our own options, which may hold a password, unless that is what the policy
        says."""
        prefix = self.env_prefix
        return (
            prefix is not None
            and name.startswith(prefix)
            and (not name.startswith(_OPTIONS) or prefix.startswith(_OPTIONS))
        )

    def host(self, role: Role, host: str) -> bool:
        """Whether this name or address may be, as far as that is known before it is looked up."""
        patterns = self.hosts(role)
        if patterns is None:
            return True
        address = _address(host)
        if address is not None:
            return _in_networks(address, patterns)
        return _matches(host, patterns) or any(_network(pattern) for pattern in patterns)

    def by_name(self, role: Role, host: str) -> bool:
        """Whether it may be whatever it leads to, for somebody else looks it up: a proxy."""
        patterns = self.hosts(role)
        if patterns is None:
            return True
        address = _address(host)
        return _matches(host, patterns) if address is None else _in_networks(address, patterns)

    def connection(self, role: Role, host: str, address: str) -> bool:
        """Whether `host`, which was looked up, may be connected to at `address`. A name that is
        allowed leads to no machine of our own network, unless that is in a network that is allowed
        as well."""
        patterns = self.hosts(role)
        found = _address(address)
        if patterns is None or found is None:
            return patterns is None
        return _in_networks(found, patterns) or (
            _address(host) is None and _matches(host, patterns) and _is_public(found)
        )


_OPTIONS = "MAILCOLLECTOR_"
_now = Allowed()


def allowed() -> Allowed:
    """What this process goes by."""
    return _now


def enforce(policy: Allowed) -> None:
    """Go by this from now on."""
    global _now  # noqa: PLW0603  # one for the whole process, set where it starts
    _now = policy


def require_apart(policy: Allowed, directory: str | os.PathLike[str]) -> None:
    """Raise PolicyRefused where those who write manifests write the policy too."""
    if policy.file and is_within(policy.file, os.path.realpath(directory)):
        raise PolicyRefused(
            f"the policy {policy.file} stands below the manifests' directory, whose authors it is to "
            "bind: keep it elsewhere"
        )


def is_beneath(path: str, roots: Roots) -> bool:
    """Whether `path`, as it is written, is in one of these directories."""
    if roots is None:
        return True
    plain = os.path.normpath(path)
    return any(is_within(plain, os.path.normpath(root)) for root in roots)


def is_within(path: str, root: str) -> bool:
    """Both without `..` and links."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def _matches(host: str, patterns: Sequence[str]) -> bool:
    name = host.lower().rstrip(".")
    return any(fnmatch.fnmatchcase(name, pattern.lower().rstrip(".")) for pattern in patterns)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments (RFC 6890); a cloud's metadata
            "168.63.129.16/32",  # a cloud's metadata, though the address is a public one
            "::/96",
            "::ffff:0:0:0/96",
            "64:ff9b:1::/48",  # IPv4 in IPv6 (RFC 4291, 2765, 8215)
            "fec0::/10",
        ),
    )
)  # site-local (RFC 3879)
"""What Python calls global, all the same or in some versions."""
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""To the IPv4 address in the last 32 bits (RFC 6052)."""


def _is_public(address: _Address) -> bool:
    """Whether it belongs to nobody's own network, this machine or a cloud's metadata, however it is
    written."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = (
            ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            if address in _TRANSLATED
            else address.sixtofour
        )
        if inner is not None:
            return _is_public(inner)
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
    )


def _address(text: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _in_networks(address: _Address, patterns: Sequence[str]) -> bool:
    return any(network is not None and address in network for network in map(_network, patterns))
