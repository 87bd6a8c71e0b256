"""The limits of each host: simultaneous sessions, and logins in a minute.

What the big providers publish are limits of one account. What they allow one address is not
published, so the presets of `model.known_providers` are cautious guesses of ours; the options
`--host-connections` and `--host-logins-per-minute` replace them.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.model import known_providers as known
from reconciler.model.domains import host_to_ascii


class HostLimits(Struct, frozen=True):
    """The limits of one host. `connections`: simultaneous sessions. `logins`: in any minute, spaced
    evenly; None for no limit."""

    connections: int = 8
    logins: int | None = None

    @property
    def spacing(self) -> float:
        """Seconds between the beginnings of two sessions."""
        return 60.0 / self.logins if self.logins else 0.0


ELSEWHERE = HostLimits()
LimitsOf = Callable[[str], HostLimits]
"""Returns the limits of a host, which is named as `canonical_host` does."""


def canonical_host(host: str) -> str:
    """Return one name for all spellings of a host: its A-labels, or its address. A host that is
    neither is returned in lower case."""
    try:
        return host_to_ascii(host)
    except ValueError:
        return host.lower()


def provider_limits(host: str) -> HostLimits:
    """Return the limits of the host's provider. The host is named as `canonical_host` does."""
    provider = known.provider_of_host(host)
    if provider is None or provider.connections is None:
        return ELSEWHERE
    return HostLimits(provider.connections, provider.logins_per_minute)


def limits(connections: int | None, logins_per_minute: int | None) -> LimitsOf:
    """Return the limits of each host: the presets, and in their place the options that were
    given."""

    def limits_of(host: str) -> HostLimits:
        default = provider_limits(host)
        return HostLimits(connections or default.connections, logins_per_minute or default.logins)

    return limits_of
