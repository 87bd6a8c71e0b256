"""Limit the sessions that deliver to one destination, and keep those that wait for a mail system
that takes no mail.

After a failure, a destination gets one session at a time, and one more after each success, until
one of them has delivered. A mail system (LMTP, SMTP) also has a state like a host's
(`control.host_health`). While it is away, collectors with mail for it wait, and one of them tries
every 15 seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection

from reconciler.control.host_health import HostHealth, SessionTarget
from reconciler.control.host_queues import Ticket
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.outcomes import Failure, SessionReport

RETRY_MAIL_SYSTEM = 15.0
"""Seconds between two attempts at a mail system that is away: it is mostly our own."""
FOLLOW_WITHIN, FOLLOW_APART = 5.0, 0.1
"""Collectors that have waited start within this number of seconds after the first one, or this far
apart."""


def pace(count: int) -> float:
    """Return the seconds between two of the `count` sessions that have waited for something."""
    return min(FOLLOW_APART, FOLLOW_WITHIN / max(1, count))


class DestinationQueue:
    """The state of one destination, and the collectors that wait for it."""

    __slots__ = ("backs", "bears", "busy", "fails", "health", "is_mail_system", "timer", "waiting")

    def __init__(self, name: str) -> None:
        self.health = HostHealth(name, 0, RETRY_MAIL_SYSTEM)
        self.is_mail_system = name.startswith(("lmtp ", "smtp "))
        self.backs: dict[str, Callable[[], None]] = {}
        """The callbacks by collector, for when the destination is available again."""
        self.waiting: OrderedDict[str, None] = OrderedDict()
        """The collectors that have mail for a mail system that is away."""
        self.timer: asyncio.TimerHandle | None = None
        """The timer of the next attempt."""
        self.busy = 0
        """The number of sessions that run now."""
        self.fails = False
        self.bears = 1
        """The number of simultaneous sessions that are allowed as long as `fails`."""


class DestinationQueues:
    """All destinations by name. `tell` is called when the state of a destination has changed, for
    the collectors that deliver there. `moved` is called with collectors whose next attempt is at
    another time."""

    def __init__(
        self, tell: Callable[[HostHealth], None], moved: Callable[[Collection[str]], None]
    ) -> None:
        self._tell = tell
        self._moved = moved
        self._queues: dict[str, DestinationQueue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def of(self, target: SessionTarget) -> DestinationQueue:
        """Return the queue of the target's destination, new where there was none."""
        name = target.destination
        return self._queues.get(name) or self._queues.setdefault(name, DestinationQueue(name))

    def join(
        self, name: str, target: SessionTarget, interval: float, back: Callable[[], None]
    ) -> None:
        """Note that this collector delivers there."""
        queue = self.of(target)
        queue.health.members[name] = interval
        queue.backs[name] = back

    def leave(self, name: str, target: SessionTarget) -> None:
        """Remove a collector that no longer delivers there."""
        queue = self.of(target)
        queue.health.members.pop(name, None)
        queue.backs.pop(name, None)
        queue.waiting.pop(name, None)
        if not queue.waiting:
            _cancel_timer(queue)
        self._forget_unused(target)

    def session_begins(self, target: SessionTarget) -> None:
        self.of(target).busy += 1

    def session_over(self, target: SessionTarget) -> None:
        self.of(target).busy -= 1
        self._forget_unused(target)

    def waits(self, name: str, target: SessionTarget) -> bool:
        """Return whether this collector has mail for a mail system that is away."""
        queue = self.of(target)
        return queue.health.away and name in queue.waiting

    def recall(self, name: str, target: SessionTarget, failure: Failure) -> None:
        """Note that it was away for this collector when the last process ended: one tries at once,
        the others wait."""
        queue = self.of(target)
        if queue.is_mail_system:
            queue.health.recall(failure, _now())
            if queue.health.away:
                queue.waiting[name] = None
                self._set_timer(queue)

    def learn(self, target: SessionTarget, report: SessionReport) -> None:
        """Learn from a session how many sessions at once the destination bears."""
        queue = self.of(target)
        if report.error is not None and report.error.reason == DestinationUnavailable.reason:
            queue.fails, queue.bears = True, 1
        elif queue.fails and report.error is None:
            queue.bears += 1
            queue.fails = not report.collected
            if report.collected:
                for name, back in list(queue.backs.items()):
                    if name not in queue.waiting:
                        back()

    def learn_of_mail_system(self, name: str, ticket: Ticket, report: SessionReport) -> None:
        """Learn from a session of this collector whether the mail system takes mail."""
        queue, failure = self.of(ticket.target), report.error
        if name not in queue.health.members or not queue.is_mail_system:
            return
        fails = failure is not None and failure.reason == DestinationUnavailable.reason
        queue.waiting.pop(name, None)
        if fails and failure is not None and not failure.of_one:
            queue.waiting[name] = None
            if queue.health.fail(failure, ticket.began, _now()):
                self._tell(queue.health)
            elif queue.health.away:
                self._moved(queue.health.members.keys())
        elif (fails or report.collected) and queue.health.enter(_now()):
            self._follow(queue)
        self._set_timer(queue)

    def _follow(self, queue: DestinationQueue) -> None:
        """Admit the collectors that have waited, spread over some seconds, because the mail
        system is there again."""
        self._tell(queue.health)
        waiting = list(queue.waiting)
        queue.waiting.clear()
        for number, name in enumerate(waiting):
            asyncio.get_running_loop().call_later(
                number * pace(len(waiting)), self._call_back, queue.health.host, name
            )

    def _call_back(self, destination: str, name: str) -> None:
        queue = self._queues.get(destination)
        if queue is not None and name in queue.backs:
            queue.backs[name]()

    def _set_timer(self, queue: DestinationQueue) -> None:
        """Set one timer for those who wait. Where nobody is left who could try, nothing says that
        it is still away."""
        _cancel_timer(queue)
        if not queue.health.away:
            return
        if queue.waiting:
            delay = max(0.0, queue.health.next_attempt - _now())
            queue.timer = asyncio.get_running_loop().call_later(delay, self._try, queue)
        elif queue.health.enter(_now()):
            self._tell(queue.health)

    def _try(self, queue: DestinationQueue) -> None:
        """Have the next waiting collector try."""
        queue.timer = None
        name = next(iter(queue.waiting))
        queue.waiting.move_to_end(name)
        queue.health.postpone(_now())
        self._moved(queue.health.members.keys())
        self._set_timer(queue)
        self._call_back(queue.health.host, name)

    def _forget_unused(self, target: SessionTarget) -> None:
        queue = self.of(target)
        if not queue.backs and not queue.busy:
            del self._queues[target.destination]


def _cancel_timer(queue: DestinationQueue) -> None:
    if queue.timer is not None:
        queue.timer.cancel()
        queue.timer = None


def _now() -> float:
    return asyncio.get_running_loop().time()
