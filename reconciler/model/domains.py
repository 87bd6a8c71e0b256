"""Domains and hosts in any script (IDNA 2008 with the mapping of UTS 46)."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
import unicodedata
from urllib.parse import urlsplit

import idna

_ASCII = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.IGNORECASE)
_NUMERIC_END = re.compile(r"(?:^|\.)[0-9]+$")


def a_labels(name: str) -> str:
    """Return a name in A-labels and lower case (RFC 5891, with the mapping of UTS 46).

    The result is not checked to be a domain. Raises ValueError for names that have no A-labels.
    """
    return name.lower() if name.isascii() else idna.encode(name, uts46=True).decode("ascii").lower()


@functools.lru_cache(maxsize=4096)
def to_ascii(domain: str) -> str:
    """Return a domain for use in protocols: A-labels, lower case, no final dot. Raises ValueError
    with the reason."""
    name = domain.rstrip(".") if domain.endswith(".") and not domain.endswith("..") else domain
    name = a_labels(name)
    if not _ASCII.fullmatch(name) or len(name) > 253:
        raise ValueError("labels of 1 to 63 letters, digits and `-` are separated by single dots")
    if _NUMERIC_END.search(name):
        raise ValueError("its last label is a number, as only an IP address has it")
    return name


def to_unicode(domain: str) -> str:
    """Return a domain for people: U-labels where possible, in lower case. Text that is no domain is
    returned unchanged."""
    try:
        return idna.decode(to_ascii(domain), uts46=True)
    except (ValueError, idna.IDNAError):
        return domain


@functools.lru_cache(maxsize=4096)
def host_to_ascii(host: str) -> str:
    """Return a host for the resolver: an IP address, or a domain in A-labels. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return to_ascii(host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, judging by its text alone.

    This covers every spelling that a resolver accepts for 127.0.0.0/8 or ::1, including those of
    inet_aton such as 127.1, and the names of RFC 6761, section 6.3.
    """
    address = _address(host)
    return _is_local_name(host) if address is None else address.is_loopback


def reaches_this_machine(host: str) -> bool:
    """Return whether connections to a host reach this machine: `is_loopback`, or the unspecified
    address."""
    address = _address(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def is_neighbour(token_url: str, mail_host: str | None) -> bool:
    """Return whether a token endpoint is on this machine while the mail server is not.

    Such an endpoint is no identity provider. The manifest's author may want requests to be sent to
    another program on this machine. In tests, both servers are on this machine.
    """
    try:
        host = urlsplit(token_url).hostname or ""
    except ValueError:
        return False
    return reaches_this_machine(host) and not (mail_host and reaches_this_machine(mail_host))


def _is_local_name(host: str) -> bool:
    name = _plain(host)
    return name in {"localhost", "localhost.localdomain"} or name.endswith(".localhost")


def _plain(host: str) -> str:
    """Return a host with the differences removed that resolvers and clients ignore."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".").casefold().rstrip(".")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    name = _plain(host).strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except (OSError, UnicodeError):
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
