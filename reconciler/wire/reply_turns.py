"""Share the interpreter between threads that read very long replies.

Reading lines is work that only one Python thread at a time can do. Threads that never wait for
their server would keep the interpreter from all others. So the time for long replies is added up on
one timeline of the process. A thread that is ahead of the timeline waits. A reply that is alone
never waits.
"""

from __future__ import annotations

import threading
import time

LONG = 256 << 10
"""Octets of a reply, bulk data apart, from which it counts as long."""
_LONGEST_WAIT = 1.0
"""Seconds that a thread waits for its turn at most."""
_WORTH_SLEEPING = 0.001
"""Seconds below which a thread does not pause, because a pause is not exact enough."""


class ReplyTurns:
    """The timeline on which the work on long replies is booked. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free_from = 0.0
        """The time (monotonic clock) at which all booked work is done."""

    def wait(self, worked: float, now: float) -> float:
        """Book `worked` seconds of finished work and return the seconds to pause now."""
        with self._lock:
            begin = max(self._free_from, now - worked)
            self._free_from = begin + worked
            return min(self._free_from - now, _LONGEST_WAIT)


TURNS = ReplyTurns()


class ReplyTurn:
    """One long reply's work between two bookings, used from one thread."""

    __slots__ = ("_worked",)

    def __init__(self) -> None:
        self._worked = time.thread_time()

    def take(self) -> None:
        """Book the work done since the last call, and wait if others come first."""
        seconds = TURNS.wait(time.thread_time() - self._worked, time.monotonic())
        if seconds > _WORTH_SLEEPING:
            time.sleep(seconds)
        self._worked = time.thread_time()
