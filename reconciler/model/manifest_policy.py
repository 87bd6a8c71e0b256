"""The policy: which files, programs, variables and hosts manifests may name.

`manifests.policy_file` reads it from the administrator's file. The rules of manifests and the
adapters ask it.
"""

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
"""Allowed directories; None allows all."""
Hosts = tuple[str, ...] | None
"""Allowed patterns of names, addresses and networks; None allows all."""


class Allowed(Struct, frozen=True):
    """What the policy allows. The defaults, for a process without a policy, allow everything."""

    file: str = ""
    """The path of the policy file; empty without a policy."""
    secret_files: Roots = None
    ca_files: Roots = None
    sockets: Roots = None
    maildirs: Roots = None
    programs: tuple[str, ...] | None = None
    env_prefix: str | None = ""
    """The prefix of allowed variables; None allows no variable."""
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
        """Return whether a program may run. A policy names programs by their absolute paths, so
        that PATH plays no part."""
        return self.programs is None or argv[0] in self.programs

    def variable(self, name: str) -> bool:
        """Return whether a secret may come from this environment variable.

        Variables that hold mailcollector's own options may contain a password. They are refused
        unless the policy's prefix names them.
        """
        prefix = self.env_prefix
        return (
            prefix is not None
            and name.startswith(prefix)
            and (not name.startswith(_OPTIONS) or prefix.startswith(_OPTIONS))
        )

    def host(self, role: Role, host: str) -> bool:
        """Return whether a manifest may name this host.

        A name that matches no pattern passes if the policy lists any network, because the name may
        resolve to an address in it. `connection` checks the address.
        """
        patterns = self.hosts(role)
        if patterns is None:
            return True
        address = _address(host)
        if address is not None:
            return _in_networks(address, patterns)
        return _matches(host, patterns) or any(_network(pattern) for pattern in patterns)

    def by_name(self, role: Role, host: str) -> bool:
        """Return whether a host is allowed by its name alone.

        This is for connections through a proxy, which resolves the name itself.
        """
        patterns = self.hosts(role)
        if patterns is None:
            return True
        address = _address(host)
        return _matches(host, patterns) if address is None else _in_networks(address, patterns)

    def connection(self, role: Role, host: str, address: str) -> bool:
        """Return whether `host` may be connected to at `address`, one of its resolved addresses.

        An allowed name gives access to public addresses only. Private ones need an allowed network
        as well.
        """
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
    """Return the policy of this process."""
    return _now


def enforce(policy: Allowed) -> None:
    """Set the policy of this process."""
    global _now  # noqa: PLW0603  # one for the whole process, set at its start
    _now = policy


def require_apart(policy: Allowed, directory: str | os.PathLike[str]) -> None:
    """Raise PolicyRefused if the policy is below the manifests' directory, where the authors of
    manifests could change it."""
    if policy.file and is_within(policy.file, os.path.realpath(directory)):
        raise PolicyRefused(
            f"the policy {policy.file} stands below the manifests' directory, whose authors it is "
            "to bind: keep it elsewhere"
        )


def is_beneath(path: str, roots: Roots) -> bool:
    """Return whether `path` is in one of these directories. Links are not resolved."""
    if roots is None:
        return True
    plain = os.path.normpath(path)
    return any(is_within(plain, os.path.normpath(root)) for root in roots)


def is_within(path: str, root: str) -> bool:
    """Return whether `path` is `root` or below it. Both are without `..` and links."""
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
            "192.0.0.0/24",  # protocol assignments (RFC 6890); a cloud's metadata service
            "168.63.129.16/32",  # a cloud's metadata service at a public address
            "::/96",  # IPv4-compatible IPv6 (RFC 4291)
            "::ffff:0:0:0/96",  # IPv4-translated IPv6 (RFC 2765)
            "64:ff9b:1::/48",  # local IPv4/IPv6 translation (RFC 8215)
            "fec0::/10",  # site-local (RFC 3879)
        ),
    )
)
"""Networks that `is_global` accepts, in all or some versions of Python, but that are not public."""
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""


def _is_public(address: _Address) -> bool:
    """Return whether an address is public: of no private network, not of this machine, and not a
    cloud's metadata service. IPv4 addresses inside IPv6 addresses are checked too."""
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
