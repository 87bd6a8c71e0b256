"""URLs that secrets are sent to: which ones are allowed, and how a host is written in them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from reconciler.model.domains import host_to_ascii, is_loopback, reaches_this_machine
from reconciler.model.errors import SourceUnsuitable

NEIGHBOUR = (
    "is on this machine, where anybody may listen, and the mail server is not: name the provider's "
    "address"
)
"""Why a token endpoint on this machine is refused."""
_SHOWN = 300
"""Characters of a URL that an error quotes at most."""


def require_private(url: str, *, local: bool) -> SplitResult:
    """Return the parts of a URL that secrets may be sent to. Raises SourceUnsuitable for others.

    The scheme has to be https; http will do on this machine. This machine is refused unless
    `local`: its services trust every program that can connect to them.
    """
    name = repr(url[:_SHOWN])
    try:
        where = urlsplit(url)
        host, port = where.hostname, where.port
    except ValueError as error:
        raise SourceUnsuitable(f"{name} is no URL: {error}") from None
    if not host or where.username is not None or port == 0:
        raise SourceUnsuitable(
            f"{name} is no address of a token endpoint: write it as https://host/path"
        )
    if reaches_this_machine(host) and not local:
        raise SourceUnsuitable(f"{name} {NEIGHBOUR}")
    if where.scheme != "https" and not (where.scheme == "http" and is_loopback(host)):
        raise SourceUnsuitable(f"{name} is no https address: secrets are sent there")
    return where


def authority(where: SplitResult) -> str:
    """Return the value of the header `Host` (RFC 9110, section 7.2)."""
    host = ascii_host(where.hostname or "")
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{where.port}" if where.port else name


def ascii_host(host: str) -> str:
    """Return a host name as A-labels. Raises SourceUnsuitable."""
    try:
        return host_to_ascii(host)
    except ValueError as error:
        raise SourceUnsuitable(f"{host[:_SHOWN]!r} is no host: {error}") from None
