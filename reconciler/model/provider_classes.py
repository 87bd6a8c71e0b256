"""The provider of a server in one word out of a fixed list, for figures that must stay few."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from reconciler.model.domains import is_loopback
from reconciler.model.known_providers import NAMES, provider_named, provider_of_host

LOOPBACK, PRIVATE, OTHER = "loopback", "private", "other"
CLASSES = (*NAMES, LOOPBACK, PRIVATE, OTHER)
"""All values: the names of the known providers, and what the host of another server tells."""
_PRIVATE_DOMAINS = ("local", "internal", "lan", "intranet", "localdomain", "home.arpa")
"""Domains that no public name has: RFC 6762, RFC 8375, and what networks use."""


@lru_cache(4096)
def provider_class(host: str, declared: str | None = None) -> str:
    """Return the provider's name, or the class of the host: loopback, private or other.

    `declared` is `source.provider`.
    """
    provider = provider_named(declared or "") or provider_of_host(host)
    if provider is not None:
        return provider.name
    if is_loopback(host):
        return LOOPBACK
    return PRIVATE if _is_private(host.lower().rstrip(".")) else OTHER


def _is_private(host: str) -> bool:
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_private
    except ValueError:
        return "." not in host or host.endswith(tuple(f".{one}" for one in _PRIVATE_DOMAINS))
