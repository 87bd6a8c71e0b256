"""When a collector's next session starts. Pure; every time here is of a monotonic clock, in
seconds, so that a wall clock that jumps neither floods a server nor leaves mail lying (hazard R2).

    after a session          interval after its start, or at once when it took longer than that
    with a back-off          when the back-off ends
    new or changed           at once
    more than 50 at once     spread by name, about 20 starts a second, over one interval at most; so
                             at daemon start too
"""

from __future__ import annotations

import zlib

AT_ONCE = 50
"""So many collectors may start together; beyond that they are spread."""
SPACING = 0.05
"""Seconds for each collector that are added to the window of a spread."""


def next_start(started: float, interval: float, now: float, retry_in: float | None = None) -> float:
    """When to start after the session that began at `started`. `retry_in`: seconds that a back-off
    still lasts."""
    if retry_in is not None:
        return now + max(0.0, retry_in)
    return max(now, started + interval)


def first_delay(name: str, interval: float, count: int) -> float:
    """How long a collector waits that is one of `count` that start or change together. The same
    name always gets the same part of the window, whatever the others are called."""
    if count <= AT_ONCE:
        return 0.0
    return min(interval, count * SPACING) * zlib.crc32(name.encode()) / (1 << 32)
