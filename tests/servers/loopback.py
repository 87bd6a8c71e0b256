"""The name that private servers are reached by."""

from __future__ import annotations

import socket


def _known(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None, socket.AF_INET))
    except socket.gaierror:
        return False


HOST = "localhost" if _known("localhost") else "127.0.0.1"
"""A system without /etc/hosts, as debootstrap makes one, may know no name at all."""
