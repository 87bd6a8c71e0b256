"""How often a wrong token may be tried (hazard W5).

A token cannot be guessed; the limits keep a client that tries from filling the log and the
processor. Failures are counted for each address, and for an IPv6 client's /64. After five within a
minute the next try waits, twice as long after each further failure, up to five minutes. Where there
are a hundred failures in a minute from all addresses, each address has one free try, not five.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

from msgspec import Struct

FREE = 5
"""Failures of an address that cause no pause."""
MANY = 100
"""Failures from all addresses within a minute, after which each address has one failure without
a pause."""
_FORGOTTEN = 60.0
"""Seconds after the last failure, or after its pause, when it is forgotten."""
_FIRST = 1.0
"""Seconds of the first pause."""
_LONGEST = 300.0
_ADDRESSES = 4096
"""Addresses that are remembered at most; the oldest are forgotten."""


class _Failures(Struct):
    count: int
    until: float
    """When the next wrong token is looked at."""


class LoginLimits:
    """Counts failures by address. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}
        self._minute = _Failures(0, clock() + _FORGOTTEN)
        """All failures of a minute, and its end."""

    def pause(self, address: str) -> int:
        """Return the seconds, rounded up, until a wrong token from this address is looked at
        again. 0: at once."""
        found = self._current(_group(address))
        return max(0, math.ceil(found.until - self._clock())) if found else 0

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        group, free = _group(address), self._free_tries()
        found = self._current(group) or _Failures(0, 0.0)
        self._failures.pop(group, None)
        count = found.count + 1
        pause = min(_LONGEST, _FIRST * 2.0 ** min(count - free, 16)) if count >= free else 0.0
        self._failures[group] = _Failures(count, self._clock() + pause)
        if len(self._failures) > _ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._failures.pop(_group(address), None)

    def _free_tries(self) -> int:
        """Count one more failure of all; return how many each address may have."""
        if self._clock() > self._minute.until:
            self._minute = _Failures(0, self._clock() + _FORGOTTEN)
        self._minute.count += 1
        return FREE if self._minute.count <= MANY else 1

    def _current(self, group: str) -> _Failures | None:
        found = self._failures.get(group)
        if found is not None and self._clock() - found.until > _FORGOTTEN:
            del self._failures[group]
            return None
        return found


def _group(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
