"""Domains and hosts in any script (IDNA 2008 with the mapping of UTS 46)."""

from __future__ import annotations

import functools
import ipaddress
import re

import idna

_ASCII = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.IGNORECASE)
_NUMERIC_END = re.compile(r"(?:^|\.)[0-9]+$")


@functools.lru_cache(maxsize=4096)
def to_ascii(domain: str) -> str:
    """The domain as it goes on the wire: A-labels, lower case, no dot at the end. Raises ValueError, which says why."""
    name = domain.rstrip(".") if domain.endswith(".") and not domain.endswith("..") else domain
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(str(error)) from error
    if not _ASCII.fullmatch(name) or len(name) > 253:
        raise ValueError("labels of 1 to 63 letters, digits and `-` are separated by single dots")
    if _NUMERIC_END.search(name):
        raise ValueError("its last label is a number, as only an IP address has it")
    return name.lower()


def to_unicode(domain: str) -> str:
    """The domain as people read it: U-labels where they exist, lower case. What is no domain is returned as it is."""
    try:
        return idna.decode(to_ascii(domain), uts46=True)
    except (ValueError, idna.IDNAError):
        return domain


@functools.lru_cache(maxsize=4096)
def host_to_ascii(host: str) -> str:
    """A host as it goes to the resolver: an IP address as it is, a domain as A-labels. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return to_ascii(host)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
