"""The state of hosts. What one collector learns of a host and port serves all that have their mail
there.

    open     somebody was let in, or the server answered a login: everybody may come, within the
             host's limits
    unknown  nobody has come yet, or the last one was not let in: one at a time, until somebody is
    away     nobody is let in: one collector tries 10 seconds after that was noticed, then every 30
             seconds. After a long outage it tries less often: every 120th part of the outage, 15
             minutes at most. The others wait, and follow when it is let in

A failure counts for the host where it came before the login was answered. After three failures in a
row (or as many as there are collectors) the host is away. Each false alarm doubles that number, so
a name with one dead server of two stays open. If a collector fails while others are let in, the
cause is its own, and so is its back-off (`collect.backoff`).

Mail systems that mail is delivered to are judged in the same way (`control.destination_queues`).
"""

from __future__ import annotations

from msgspec import Struct

from reconciler.collect.backoff import LOGIN_REFUSED
from reconciler.control.host_limits import canonical_host
from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    ConnectionFailed,
    Crowded,
    DestinationUnavailable,
    ProtocolViolation,
    SourceUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.outcomes import Failure
from reconciler.planning.desired_state import DesiredCollector

FIRST_RETRY, RETRY_EVERY, LONGEST_RETRY = 10.0, 30.0, 900.0
"""Seconds until a host that is away is tried for the first time, then, and at most."""
OUTAGE_PART = 120.0
"""After a long outage, a host is tried after this part of the outage."""
THROTTLED = 300.0
"""Seconds until the host is tried again where the server said that this address comes too often,
and not for how long."""
FEWEST_FAILURES, MOST_FAILURES = 3, 24
"""Failures in a row that make a host away: at first, and at most after false alarms."""
SLOW = 30.0
"""Seconds; a session that takes longer earns its host no credit."""
_FULL_CREDIT = 3
_OWN_REASONS = {
    AuthenticationFailed.reason,
    LOGIN_REFUSED,
    AccountNotReady.reason,
    Crowded.reason,
    SourceUnsuitable.reason,
    Throttled.reason,
}
"""Reasons that a server gives when it answers a login."""
HOST_REASONS = {ConnectionFailed.reason, SourceUnavailable.reason, TlsRefused.reason}
"""Reasons that a collector reports when its host is away. An expired certificate concerns all
collectors."""
_TURNED_AWAY = {*HOST_REASONS, ProtocolViolation.reason}
SHARED_REASONS = {*_TURNED_AWAY, DestinationUnavailable.reason}
"""Reasons that end for all collectors of a host, or of a destination, at once."""


class SessionTarget(Struct, frozen=True):
    """Where a session goes: the source's host and port, and what its mail is delivered to."""

    host: str
    port: int
    destination: str = ""


def target_of(collector: DesiredCollector) -> SessionTarget:
    """Return where the sessions of this collector go."""
    source = collector.effective.source
    return SessionTarget(
        canonical_host(source.host), source.effective_port, _destination(collector)
    )


def _destination(collector: DesiredCollector) -> str:
    spec = collector.destination
    if spec is None:
        return "state"
    if spec.maildir:
        return spec.maildir.path.partition("{")[0]
    if spec.lmtp:
        return f"lmtp {spec.lmtp.socket or f'{spec.lmtp.host}:{spec.lmtp.port}'}"
    return f"smtp {spec.smtp.host}:{spec.smtp.port}" if spec.smtp else ""


class Outage(Struct, frozen=True):
    """Why collectors wait for a host. Times are of the event loop's clock; `concerns` counts the
    collectors that have their mail there."""

    host: str
    port: int
    reason: str
    message: str
    since: float
    next_attempt: float
    concerns: int


class HostHealth:
    """The state of one host and port. Times are of the event loop's clock.

    `retry_every`: seconds between two attempts while it is away.
    """

    def __init__(self, host: str, port: int, retry_every: float = RETRY_EVERY) -> None:
        self.host = host
        self.port = port
        self._retry_every = retry_every
        self.members: dict[str, float] = {}
        """The interval of each collector that has its mail here, in seconds."""
        self.known = False
        """Whether nobody has failed since a session was let in."""
        self.away = False
        self.next_attempt = 0.0
        self.entered_at = float("-inf")
        self._failures = 0
        """The number of failures in a row."""
        self._enough_failures = FEWEST_FAILURES
        self._attempts = 0
        """The number of failed attempts since the host is away."""
        self._away_since = 0.0
        self._failure: Failure | None = None
        """The last failure, until a session is let in."""
        self._credit = 0
        """Above 0 after sessions that went well and quickly, below 0 after others."""

    @property
    def is_healthy(self) -> bool:
        """Whether its last sessions went well and quickly."""
        return self._credit > 0

    @property
    def is_untried(self) -> bool:
        """Whether no session has tried it since this process started."""
        return not (self.known or self.away or self._failures or self._credit)

    @property
    def is_blameless(self) -> bool:
        """Whether nothing bad is known of it."""
        return not self.away and self._credit >= 0 and not self._failures

    @property
    def outage(self) -> Outage | None:
        """Why it is away; None where it is not."""
        if not self.away or self._failure is None:
            return None
        return Outage(
            self.host,
            self.port,
            self._failure.reason,
            self._failure.message,
            self._away_since,
            self.next_attempt,
            len(self.members),
        )

    def enter(self, now: float) -> bool:
        """Note that somebody is let in. Return whether it was away until now."""
        was_away, self.away = self.away, False
        if was_away:
            false_alarm = self._attempts <= 1
            self._enough_failures = (
                min(MOST_FAILURES, 2 * self._enough_failures) if false_alarm else FEWEST_FAILURES
            )
        self.known, self.entered_at, self._failures, self._failure = True, now, 0, None
        return was_away

    def fail(self, failure: Failure, began: float, now: float) -> bool:
        """Note that a session, begun at `began`, was not let in. Return whether the host is away
        from now on.

        If others were let in since then, the failure may be the session's own. Nothing is
        concluded, but sessions come one at a time until the next one is let in.
        """
        self.known = False
        if began <= self.entered_at:
            return False
        self._failures += 1
        self._failure = failure
        self._credit = -_FULL_CREDIT
        if self.away:
            self._attempts += 1
            self.next_attempt = max(now, began + self._retry_in(now))
        elif self._failures >= min(self._enough_failures, max(1, len(self.members))):
            self.away, self._away_since, self._attempts = True, now, 0
            self.next_attempt = now + self._retry_in(now)
            return True
        return False

    def recall(self, failure: Failure, now: float) -> None:
        """Note that it was away when the last process ended: one tries at once, the others
        wait."""
        if not self.known and not self.away and not self._failures:
            self.away, self._away_since, self._failure, self.next_attempt = True, now, failure, now

    def judge(self, seconds: float, *, well: bool) -> None:
        """Note that a session is over that took so long."""
        if well and seconds <= SLOW:
            self._credit = min(_FULL_CREDIT, self._credit + 1)
        elif seconds > SLOW:
            self._credit = -_FULL_CREDIT

    def postpone(self, now: float) -> None:
        """Note that somebody tries now: the next attempt comes after the usual time."""
        self.next_attempt = max(self.next_attempt, now + self._retry_every)

    def _retry_in(self, now: float) -> float:
        """Return the seconds until the next attempt."""
        if self._failure is not None and self._failure.reason == Throttled.reason:
            return max(FIRST_RETRY, self._failure.retry_after or THROTTLED)
        if self._attempts == 0:
            return max(FIRST_RETRY, self._requested_wait)
        outage, shortest_interval = now - self._away_since, min(self.members.values(), default=0.0)
        usual = max(self._retry_every, outage / OUTAGE_PART, shortest_interval / 60)
        return max(min(LONGEST_RETRY, usual), self._requested_wait)

    @property
    def _requested_wait(self) -> float:
        """The seconds that a mail system has asked all to wait."""
        failure = self._failure
        if failure is None or failure.reason != DestinationUnavailable.reason:
            return 0.0
        return failure.retry_after or 0.0


def failed_before_login(failure: Failure) -> bool:
    """Return whether a session was not let in through no fault of its own."""
    return failure.reason in _TURNED_AWAY or (
        failure.reason == Throttled.reason and failure.of_address
    )


def was_answered(failure: Failure | None) -> bool:
    """Return whether the server let the session in, or answered its login as a healthy server
    does."""
    return failure is None or (failure.reason in _OWN_REASONS and not failure.of_address)
