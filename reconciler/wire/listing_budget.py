"""Bound the number of messages that all listings of the process keep in memory together.

A listing counts from `FREE` messages on, so that small mailboxes never wait. The oldest listing
always continues, so that listings never wait for each other in a circle. The others share room for
`SHARED` messages and wait while that is taken. At most `WAITING` of them wait, because each one
occupies a session.
"""

from __future__ import annotations

import threading
import time

from reconciler.model.errors import ConnectionFailed, Crowded

FREE = 5_000
"""Messages of a listing that do not count."""
SHARED = 500_000
"""Messages of all listings together, except the oldest one."""
WAITING = 4
"""Sessions that may wait; further ones are put off (`Crowded`)."""
_STEP = 20_000
"""Messages that are reserved at once."""


class ListingBudget:
    """The room that the listings of a process share. Thread-safe."""

    def __init__(self, shared: int = SHARED, waiting: int = WAITING) -> None:
        self._shared = shared
        self._most_waiting = waiting
        self._changed = threading.Condition()
        self._reserved: dict[int, int] = {}
        """Messages by the id of a share, oldest first. Ids, so that the budget keeps no share
        alive: `ListingShare.__del__` gives its room back."""
        self._waiting = 0

    def reserve(self, share: ListingShare, messages: int) -> None:
        """Reserve room for `messages` more, waiting for it where needed.

        Raises Crowded where the session cannot wait for room, and ConnectionFailed where the share
        was given up.
        """
        with self._changed:
            self._reserved.setdefault(id(share), 0)
            if not self._room(share, messages):
                self._wait(share, messages)
            self._reserved[id(share)] += messages

    def release(self, share: ListingShare) -> None:
        """Release everything that `share` has reserved; harmless where that is nothing.

        A share that waits in `reserve` in another thread is left alone: it leaves by itself when
        it is given up.
        """
        with self._changed:
            if not share.waiting and self._reserved.pop(id(share), None) is not None:
                self._changed.notify_all()

    def wake(self) -> None:
        """Wake waiting threads after a share was given up."""
        with self._changed:
            self._changed.notify_all()

    def take_time(self) -> None:
        """Allow any number of waiting sessions, for runs of one session per collector."""
        with self._changed:
            self._most_waiting = 1 << 30

    @property
    def reserved(self) -> int:
        """Messages that are reserved now."""
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
                f"{share.who}: several other mailboxes with very many messages are being listed "
                "and wait for each other already: this one is listed later"
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
                        f"{share.who}: the session's time is up, waiting for other mailboxes with "
                        "very many messages to be listed"
                    )
        finally:
            share.waiting = False
            self._waiting -= 1


class ListingShare:
    """One session's part of the budget, until `release` or the end of this object."""

    def __init__(self, budget: ListingBudget, who: str, deadline: float) -> None:
        """`who` is named in errors; `deadline` (monotonic clock) bounds the waiting."""
        self.who = who
        self.deadline = deadline
        self.given_up = self.waiting = False
        self._budget = budget
        self._taken = self._reserved = 0

    def __del__(self) -> None:
        self.release()

    def take(self, messages: int) -> None:
        """Count `messages` more that are about to be kept; wait until there is room for them."""
        self._taken += messages
        while self._taken > max(FREE, self._reserved):
            step = max(_STEP, self._taken - self._reserved)
            self._budget.reserve(self, step)
            self._reserved += step

    def release(self) -> None:
        """Count nothing any more."""
        self._taken = 0
        if self._reserved:
            self._reserved = 0
            self._budget.release(self)

    def give_up(self) -> None:
        """Stop waiting. May be called from any thread."""
        self.given_up = True
        self._budget.wake()


LISTINGS = ListingBudget()
