"""How hosts fare. A door is a host and a port: what one collector learns there serves all that
knock at it.

    open     somebody was let in, or the server answered a login: everybody may come, within the
             host's limits
    unknown  nobody has come yet, or the last one was not let in: one at a time, until somebody is
    away     nobody is let in: one collector tries, 10 seconds after it was noticed, then every 30
             seconds, and less
             often once that has lasted (a 120th of it, 15 minutes at most); the others wait, and
             follow when it gets in

A failure is the door's where it came before the login was answered. Away it counts after three in a
row (or as many as there are collectors), twice that after each false alarm, so that a door behind
which one of two servers is dead stays open. Who fails while others get in has a trouble of its own,
and a back-off of its own (`collect.backoff`).
"""

from __future__ import annotations

from msgspec import Struct

from reconciler.collect.backoff import LOGIN_REFUSED
from reconciler.control.host_limits import canonical
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

FIRST, EVERY, LONGEST = 10.0, 30.0, 900.0
"""Seconds until a door that is away is tried for the first time, then, and at most."""
PATIENT = 120.0
"""A door that has been away for long is tried after this part of that time."""
THROTTLED = 300.0
"""Seconds until it is tried again where the server said that this address comes too often, and not
for how long."""
ENOUGH, MOST = 3, 24
"""Failures in a row that make a door away, at first and after false alarms."""
SLOW = 30.0
"""Seconds; a session that takes longer earns its door no standing."""
_STANDING = 3
_ITS_OWN = {
    AuthenticationFailed.reason,
    LOGIN_REFUSED,
    AccountNotReady.reason,
    Crowded.reason,
    SourceUnsuitable.reason,
    Throttled.reason,
}
"""What a server that answers a login says."""
NOT_THERE = {ConnectionFailed.reason, SourceUnavailable.reason, TlsRefused.reason}
"""What a collector is told whose host is away; a certificate that has expired is one for all."""
_DOORS = {*NOT_THERE, ProtocolViolation.reason}
WAITING = {*_DOORS, DestinationUnavailable.reason}
"""What a collector waits for that ends for all at once."""


class SessionTarget(Struct, frozen=True):
    """Where a session goes: the source's host and port, and what its mail is delivered to."""

    host: str
    port: int
    destination: str = ""


def target_of(collector: DesiredCollector) -> SessionTarget:
    source = collector.effective.source
    return SessionTarget(canonical(source.host), source.effective_port, _destination(collector))


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
    """Why collectors wait for a door. Times are of the event loop's clock."""

    host: str
    port: int
    reason: str
    message: str
    since: float
    next_attempt: float
    concerns: int
    """Collectors that have their mail there."""


class HostHealth:
    """Times are of the event loop's clock."""

    def __init__(self, host: str, port: int, every: float = EVERY) -> None:
        self.host = host
        self._every = every
        self.port = port
        self.members: dict[str, float] = {}
        """The interval of each collector that has its mail here, in seconds."""
        self.known = False
        """Nobody has failed since somebody was let in."""
        self.away = False
        self.next_attempt = 0.0
        self.entered_at = float("-inf")
        self._failures = 0
        self._enough = ENOUGH
        self._attempts = 0
        self._since = 0.0
        self._cause: Failure | None = None
        self._credit = 0

    @property
    def stands(self) -> bool:
        """Its last sessions went well, and quickly."""
        return self._credit > 0

    @property
    def untried(self) -> bool:
        """Nobody has been here since this process started."""
        return not (self.known or self.away or self._failures or self._credit)

    @property
    def deserves(self) -> bool:
        """Nothing bad is known of it."""
        return not self.away and self._credit >= 0 and not self._failures

    @property
    def cause(self) -> Outage | None:
        """Of being away."""
        if not self.away or self._cause is None:
            return None
        return Outage(
            self.host,
            self.port,
            self._cause.reason,
            self._cause.message,
            self._since,
            self.next_attempt,
            len(self.members),
        )

    def enter(self, now: float) -> bool:
        """Somebody is let in. Whether it was away until now."""
        was_away, self.away = self.away, False
        if was_away:
            self._enough = min(MOST, 2 * self._enough) if self._attempts <= 1 else ENOUGH
        self.known, self.entered_at, self._failures, self._cause = True, now, 0, None
        return was_away

    def fail(self, failure: Failure, began: float, now: float) -> bool:
        """Somebody who came at `began` was not let in. Whether it is away from now on. Where others
        were let in after that, it may be for him alone: then one at a time comes until the next one
        is."""
        self.known = False
        if began <= self.entered_at:
            return False
        self._failures += 1
        self._cause = failure
        self._credit = -_STANDING
        if self.away:
            self._attempts += 1
            self.next_attempt = max(now, began + self._gap(now))
        elif self._failures >= min(self._enough, max(1, len(self.members))):
            self.away, self._since, self._attempts = True, now, 0
            self.next_attempt = now + self._gap(now)
            return True
        return False

    def recall(self, failure: Failure, now: float) -> None:
        """It was away when the last process ended: one tries at once, the others wait."""
        if not self.known and not self.away and not self._failures:
            self.away, self._since, self._cause, self.next_attempt = True, now, failure, now

    def judge(self, seconds: float, *, well: bool) -> None:
        """A session is over that took so long."""
        if well and seconds <= SLOW:
            self._credit = min(_STANDING, self._credit + 1)
        elif seconds > SLOW:
            self._credit = -_STANDING

    def postpone(self, now: float) -> None:
        """Somebody tries: the next one after that has its time."""
        self.next_attempt = max(self.next_attempt, now + self._every)

    def _gap(self, now: float) -> float:
        if self._cause is not None and self._cause.reason == Throttled.reason:
            return max(FIRST, self._cause.retry_after or THROTTLED)
        if self._attempts == 0:
            return max(FIRST, self._asked)
        shortest = min(self.members.values(), default=0.0)
        return max(
            min(LONGEST, max(self._every, (now - self._since) / PATIENT, shortest / 60)),
            self._asked,
        )

    @property
    def _asked(self) -> float:
        """What a mail system asked for, as a whole."""
        cause = self._cause
        return (
            (cause.retry_after or 0.0)
            if cause and cause.reason == DestinationUnavailable.reason
            else 0.0
        )


def turned_away(failure: Failure) -> bool:
    """Whether somebody was not let in for no fault of his own."""
    return failure.reason in _DOORS or (failure.reason == Throttled.reason and failure.of_address)


def answered(failure: Failure | None) -> bool:
    """Whether the server let somebody in, or answered a login as one does that is well."""
    return failure is None or (failure.reason in _ITS_OWN and not failure.of_address)
