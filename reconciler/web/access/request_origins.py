"""The names that this server answers to, and the pages that may send requests to it (hazards W2,
W3).

A foreign page can make a browser send requests here. Under a name that its owner controls it could
even read the answers. So only declared names are accepted as Host. The address of the connection is
accepted as well, because no foreign page has that origin.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from reconciler.model.settings import Settings

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}
_Origin = tuple[str, str, int]
"""Scheme, host and port (RFC 6454)."""


class RequestOrigins:
    """The hosts that are served, and the origins of their pages."""

    def __init__(self, settings: Settings) -> None:
        self._public = _origin(settings.public_url)
        listened = {settings.listen.host.casefold()} if settings.listen else set()
        names = {name for name in listened if not _is_wildcard(name)}
        self._hosts = _LOCAL | names | ({self._public[1]} if self._public else set())

    def serves(self, scope: Scope, headers: Headers) -> bool:
        """Return whether the Host is one of ours, or the address that was connected to."""
        name = _name(headers.get("host", ""))
        server = scope.get("server")
        return name in self._hosts or bool(server and name and name == server[0])

    def is_foreign(self, headers: Headers) -> bool:
        """Return whether the request comes from another site's page, as the browser reports."""
        site, declared = headers.get("sec-fetch-site", "none"), headers.get("origin")
        if site not in {"same-origin", "none"}:
            return True
        if declared is None or (declared == "null" and site == "same-origin"):
            return False  # null: a form of a page that sends no referrer (Fetch, section 3.1)
        origin, host = _origin(declared), headers.get("host", "")
        if origin is None:
            return True
        if self._public and self._public[1] in {origin[1], _name(host)}:
            return origin != self._public
        return origin not in {_origin(f"{scheme}://{host}") for scheme in _PORTS}


def sent_by_browser(headers: Headers) -> bool:
    """Return whether a request has headers that browsers send and programs do not."""
    return any(name in headers for name in ("origin", "sec-fetch-site", "sec-fetch-mode", "cookie"))


def _origin(url: str) -> _Origin | None:
    with suppress(ValueError):
        found = urlsplit(url)
        if found.scheme in _PORTS and found.hostname:
            return found.scheme, found.hostname.casefold(), found.port or _PORTS[found.scheme]
    return None


def _name(host: str) -> str:
    with suppress(ValueError):
        found = urlsplit(f"//{host}")
        if found.netloc == host and "@" not in host and (found.port or 0) >= 0:
            return (found.hostname or "").casefold()
    return ""


def _is_wildcard(name: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_unspecified
    return False
