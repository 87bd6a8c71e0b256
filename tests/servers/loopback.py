"""The name and the ports that private servers are reached by."""

from __future__ import annotations

import socket
from collections.abc import Iterator

_FIRST, _LAST, _SHARE = 11_000, 32_768, 256  # Chromium refuses 10080


def _known(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None, socket.AF_INET))
    except socket.gaierror:
        return False


HOST = "localhost" if _known("localhost") else "127.0.0.1"
"""A system without /etc/hosts, as debootstrap makes one, may know no name at all."""


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, and that no other process is given here.

    They lie below those that Linux gives to connections and to listeners that ask for any port:
    nobody takes one before the server that it is for.
    """
    return [next(_ports) for _ in range(count)]


def _free_ports() -> Iterator[int]:
    for first in range(_FIRST, _LAST, _SHARE):
        if _reserves(first):
            yield from filter(_is_free, range(first, first + _SHARE))
    raise RuntimeError("no port is free")


def _reserves(first: int) -> bool:
    """Whether this process has the share of ports that begins here, which is its own until it
    ends."""
    with socket.socket(socket.AF_UNIX) as mark:
        try:
            mark.bind(f"\0mailcollector-ports-{first}")
        except OSError:
            return False
        mark.detach()  # the descriptor stays open
    return True


def _is_free(port: int) -> bool:
    """A port is not where connections that ended are still remembered."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


_ports = _free_ports()
