"""How much a host is asked to bear: sessions at once, and logins in a minute.

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
    """`connections`: sessions at once. `logins`: in any minute, None for no limit; they are spaced
    evenly."""

    connections: int = 8
    logins: int | None = None

    @property
    def spacing(self) -> float:
        """Seconds between the beginnings of two sessions."""
        return 60.0 / self.logins if self.logins else 0.0


ELSEWHERE = HostLimits()
LimitsOf = Callable[[str], HostLimits]
"""From a host, as `canonical` has it, to what it is asked to bear."""


def canonical(host: str) -> str:
    """The name under which all spellings of a host are one: A-labels, or the address; as it is
    where it is neither."""
    try:
        return host_to_ascii(host)
    except ValueError:
        return host.lower()


def preset(host: str) -> HostLimits:
    """What is known of this host, `canonical`, from the domains it is in."""
    provider = known.of_host(host)
    if provider is None or provider.connections is None:
        return ELSEWHERE
    return HostLimits(provider.connections, provider.logins_per_minute)


def limits(connections: int | None, logins_per_minute: int | None) -> LimitsOf:
    """The presets, but for what was asked for."""

    def limits_of(host: str) -> HostLimits:
        known = preset(host)
        return HostLimits(connections or known.connections, logins_per_minute or known.logins)

    return limits_of
