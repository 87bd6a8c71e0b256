"""When a collector's next session starts. Pure. All times are seconds of a monotonic clock: a wall
clock that jumps must neither flood a server nor delay mail (hazard R2).

    after a session          one interval after its start, or at once when it took longer
    with a back-off          when the back-off ends
    new or changed           at once
    more than 50 at once     spread by name, about 20 starts a second, over one interval at most;
                             the same holds when the daemon starts
"""

from __future__ import annotations

import zlib

AT_ONCE = 50
"""Collectors that may start together; more are spread."""
SPACING = 0.05
"""Seconds that each collector adds to the window over which starts are spread."""


def next_start(started: float, interval: float, now: float, retry_in: float | None = None) -> float:
    """Return when to start after the session that began at `started`. `retry_in`: seconds that a
    back-off still lasts."""
    if retry_in is not None:
        return now + max(0.0, retry_in)
    return max(now, started + interval)


def first_delay(name: str, interval: float, count: int) -> float:
    """Return how many seconds a collector waits when `count` of them start or change together. The
    same name always gets the same place in the window, whatever the others are called."""
    if count <= AT_ONCE:
        return 0.0
    return min(interval, count * SPACING) * zlib.crc32(name.encode()) / (1 << 32)
