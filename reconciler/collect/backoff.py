"""When to try again after a failed session. Pure; the only place that tells failures apart.

| reason | first | then | at most |
|---|---|---|---|
| AuthenticationFailed, LoginRefused for the third time | 1 h | doubled | 24 h |
| LoginRefused (the server did not say why) | 5 min | the same | |
| Throttled | what the server asks for, else 5 min | doubled | 2 h |
| AccountNotReady, SourceUnsuitable, TlsRefused, PolicyRefused | 10 min (b) | doubled | 6 h |
| everything else: network, protocol, destination, disk, ledger | 1 min (a) | doubled | 15 min (b) |

(a) Or the interval, if that is less. (b) Or the interval, if that is more.

If a host lets no collector in, the failure is the host's: its collectors wait while one of them
tries (`control.host_health`).

Up to a fifth is added at random, so that collectors that failed together do not return together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    DestinationUnavailable,
    PolicyRefused,
    SourceUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport

LOGIN_REFUSED = "LoginRefused"
_REFUSALS = 3
_ASKING = (Throttled.reason, SourceUnavailable.reason, DestinationUnavailable.reason)
"""Servers and receivers that say so may also ask for a wait; earlier versions did not keep it."""
_LOGINS = {AuthenticationFailed.reason, LOGIN_REFUSED, AccountNotReady.reason, Throttled.reason}
"""Reasons that a server may give in its reply to a login."""
_SHORTEST = 5.0
"""Seconds that are waited although a server asks for less."""
_MINUTE = 60.0
_HOUR = 3600.0
_LONGEST_ASKED = 24 * _HOUR
"""A wait that a server asks for is obeyed up to this number of seconds."""


class _Schedule(Struct, frozen=True):
    """A delay that grows with the failures in a row; `first` and `most` in seconds."""

    first: float
    most: float
    factor: float = 2.0

    def delay(self, failures: int) -> float:
        return min(self.most, self.first * self.factor ** min(failures - 1, 30))


def next_backoff(
    report: SessionReport,
    previous: Retry | None,
    digest: str,
    interval: float,
    now: datetime,
    chance: Callable[[], float] = random.random,
) -> Retry | None:
    """Return the back-off after this session, or None. After a change of the spec (`digest`) the
    count begins anew. `interval` is in seconds; `chance` returns 0 … 1."""
    if report.outcome is Outcome.INTERRUPTED:
        return previous if previous and previous.digest == digest else None
    if report.error is None:
        return None
    error = report.error
    reason, failures = _count(error, previous if previous and previous.digest == digest else None)
    schedule = _schedule(reason, interval)
    asked = (
        None
        if error.retry_after is None
        else max(_SHORTEST, min(error.retry_after, _LONGEST_ASKED))
    )
    delay = (
        schedule.delay(failures)
        if asked is None
        else max(asked, schedule.delay(failures - 1) if failures > 1 else 0.0)
    )
    return Retry(
        reason,
        error.message,
        failures,
        now + timedelta(seconds=delay * (1 + chance() / 5)),
        digest,
        asked=asked,
    )


def backoff_after_check(
    report: SessionReport,
    previous: Retry | None,
    digest: str,
    interval: float,
    now: datetime,
    chance: Callable[[], float] = random.random,
) -> Retry | None:
    """Return the back-off after a login of `check`, as far as the server's reply to the login
    decides it. It counts like one of a session, so that checks and sessions together lock no
    account."""
    before = previous if previous and previous.digest == digest else None
    if report.error is None:
        return None if before and before.reason in _LOGINS else before
    return (
        next_backoff(report, before, digest, interval, now, chance)
        if report.error.reason in _LOGINS
        else before
    )


def _count(error: Failure, previous: Retry | None) -> tuple[str, int]:
    """Return the reason and the failures in a row. A login that is refused three times without a
    reason counts as a refused password."""
    if error.reason == LOGIN_REFUSED and previous is not None:
        if previous.reason == AuthenticationFailed.reason:
            return AuthenticationFailed.reason, previous.failures + 1
        if previous.reason == LOGIN_REFUSED and previous.failures + 1 >= _REFUSALS:
            return AuthenticationFailed.reason, 1
    same = previous is not None and previous.reason == error.reason
    return error.reason, previous.failures + 1 if previous and same else 1


def _schedule(reason: str, interval: float) -> _Schedule:
    match reason:
        case AuthenticationFailed.reason:
            return _Schedule(_HOUR, 24 * _HOUR)
        case "LoginRefused":
            return _Schedule(5 * _MINUTE, 5 * _MINUTE)
        case Throttled.reason:
            return _Schedule(5 * _MINUTE, 2 * _HOUR)
        case (
            AccountNotReady.reason
            | SourceUnsuitable.reason
            | TlsRefused.reason
            | PolicyRefused.reason
        ):
            return _Schedule(max(interval, 10 * _MINUTE), 6 * _HOUR)
        case _:
            return _Schedule(min(interval, _MINUTE), max(interval, 15 * _MINUTE))


def remaining(retry: Retry, interval: float, now: datetime) -> float:
    """Return the seconds that a recorded back-off still lasts: no more than its schedule gives, or
    the server asked for. The clock may have been ahead when it was recorded."""
    schedule = _schedule(retry.reason, interval)
    if retry.asked is not None:
        longest = max(schedule.delay(retry.failures), min(retry.asked, _LONGEST_ASKED))
    else:
        longest = schedule.most if retry.reason in _ASKING else schedule.delay(retry.failures)
    return max(0.0, min(longest * 1.2, (retry.next_attempt - now).total_seconds()))


def end_time(retry: Retry, interval: float, now: datetime) -> datetime:
    """Return when the back-off ends. A wall clock that was ahead when it was recorded does not
    prolong it."""
    return min(retry.next_attempt, now + timedelta(seconds=remaining(retry, interval, now)))


def forbids(retry: Retry, seconds: float, *, force: bool) -> bool:
    """Return whether a back-off that lasts `seconds` more forbids a session that is asked for.

    A failure of the network never does. A server that asked for a pause is obeyed. A login that
    was refused, or for which the server named a time, is only repeated with `force`.
    """
    if seconds <= 0 or retry.reason == Throttled.reason:
        return seconds > 0
    named = retry.asked is not None and retry.reason in _LOGINS
    return (retry.reason == AuthenticationFailed.reason or named) and not force
