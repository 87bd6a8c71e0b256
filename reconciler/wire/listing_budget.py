"""How much may be listed at once, in the whole process: large listings wait for each other instead
of adding up.

A listing counts from `FREE` messages on, so that small mailboxes never wait. The one that has
counted for longest goes on whatever there is: so one of them always does, and none waits for ever.
The others share `SHARED`, and wait as soon as that is taken: at most `WAITING` of them, for each
has a place among the sessions.
"""

from __future__ import annotations

import threading
import time

from reconciler.model.errors import ConnectionFailed, Crowded

FREE = 5_000
"""Messages that do not count."""
SHARED = 500_000
"""Messages of all listings together but the oldest one."""
WAITING = 4
"""Sessions that may wait; who comes beyond them is told to come again."""
_STEP = 20_000


class ListingBudget:
    """Thread-safe."""

    def __init__(self, shared: int = SHARED, waiting: int = WAITING) -> None:
        self._shared = shared
        self._most_waiting = waiting
        self._changed = threading.Condition()
        self._reserved: dict[int, int] = {}
        """Messages by share, oldest first. By its id: a share that is forgotten must not be kept by
        this."""
        self._waiting = 0

    def reserve(self, share: ListingShare, messages: int) -> None:
        """So many more, when there is room. Raises Crowded where there will be none for this
        session, ConnectionFailed where it is given up."""
        with self._changed:
            self._reserved.setdefault(id(share), 0)
            if not self._room(share, messages):
                self._wait(share, messages)
            self._reserved[id(share)] += messages

    def release(self, share: ListingShare) -> None:
        """All of it; harmless where there is nothing. One that waits leaves by itself, when it is
        given up."""
        with self._changed:
            if not share.waiting and self._reserved.pop(id(share), None) is not None:
                self._changed.notify_all()

    def wake(self) -> None:
        """A share was given up."""
        with self._changed:
            self._changed.notify_all()

    def take_time(self) -> None:
        """Everybody may wait: there is nothing else to be done, as in one session of each
        collector."""
        with self._changed:
            self._most_waiting = 1 << 30

    @property
    def reserved(self) -> int:
        """Messages, now."""
        with self._changed:
            return sum(self._reserved.values())

    def _room(self, share: ListingShare, messages: int) -> bool:
        oldest, *others = self._reserved
        return (
            id(share) == oldest
            or sum(self._reserved.get(other, 0) for other in others) + messages <= self._shared
        )

    def _wait(self, share: ListingShare, messages: int) -> None:
        if self._waiting >= self._most_waiting:
            del self._reserved[id(share)]
            raise Crowded(
                f"{share.who}: several other mailboxes with very many messages are being listed and "
                "wait for each other already: this one is listed later"
            )
        self._waiting += 1
        share.waiting = True
        try:
            while share.given_up or not self._room(share, messages):
                left = share.deadline - time.monotonic()
                if share.given_up or left <= 0 or not self._changed.wait(left):
                    del self._reserved[id(share)]
                    self._changed.notify_all()
                    if share.given_up:
                        raise ConnectionFailed(f"{share.who}: the session was aborted")
                    raise Crowded(
                        f"{share.who}: the session's time is up, waiting for other mailboxes with very many "
                        "messages to be listed"
                    )
        finally:
            share.waiting = False
            self._waiting -= 1


class ListingShare:
    """What one session's listings take of the budget, until it is released; it is when it is
    forgotten, too."""

    def __init__(self, budget: ListingBudget, who: str, deadline: float) -> None:
        """`deadline` (monotonic clock): how long to wait at most."""
        self.who = who
        self.deadline = deadline
        self.given_up = self.waiting = False
        self._budget = budget
        self._taken = self._reserved = 0

    def __del__(self) -> None:
        self.release()

    def take(self, messages: int) -> None:
        """So many more are about to be kept. Waits where there is no room for them."""
        self._taken += messages
        while self._taken > max(FREE, self._reserved):
            step = max(_STEP, self._taken - self._reserved)
            self._budget.reserve(self, step)
            self._reserved += step

    def release(self) -> None:
        """Nothing is kept any more."""
        self._taken = 0
        if self._reserved:
            self._reserved = 0
            self._budget.release(self)

    def give_up(self) -> None:
        """Wait no longer; from any thread."""
        self.given_up = True
        self._budget.wake()


LISTINGS = ListingBudget()
