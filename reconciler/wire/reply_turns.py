"""Replies that are very long take turns with the interpreter, however many servers send them at
once.

Reading lines is work that only one thread at a time can do. So many threads that never wait would
keep it from all others: each time that one of these needs it, several of those come first. What the
long replies take is written down on one timeline, and who has taken more than its share of that
waits. A reply that is alone never waits.
"""

from __future__ import annotations

import threading
import time

LONG = 256 << 10
"""Octets of a reply, bulk data apart, from which on it counts."""
_MOST = 1.0
"""Seconds that one turn may be waited for."""


class ReplyTurns:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0
        """When, on the monotonic clock, what was written down is worked off."""

    def wait(self, worked: float, now: float) -> float:
        """Write down so many seconds of work, done already; how long not to work now."""
        with self._lock:
            begin = max(self._free, now - worked)
            self._free = begin + worked
            return min(self._free - now, _MOST)


TURNS = ReplyTurns()


class ReplyTurn:
    """One connection's place in them, used from one thread."""

    __slots__ = ("_worked",)

    def __init__(self) -> None:
        self._worked = 0.0

    def begin(self) -> None:
        """What comes now is worked on."""
        self._worked = time.thread_time()

    def take(self) -> None:
        """Wait, where others have waited longer, for what was done since `begin`; that begins
        anew."""
        seconds = TURNS.wait(time.thread_time() - self._worked, time.monotonic())
        if seconds > 0.001:
            time.sleep(seconds)
        self.begin()
