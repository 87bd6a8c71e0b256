"""When a message that failed is asked for again, and when it is given up. Pure.

    the server did not give it, alone       UNFETCHED: asked for again, alone, in the next session;
                                            parked after `ATTEMPTS` failures
    the connection was lost with it, alone  the same; but after `ATTEMPTS` failures PAUSED instead
                                            of parked
    the destination deferred it             FAILED: tried again in the next session
    the receiver may have taken it          PAUSED from the second failure on: each repeat may be
                                            a copy

A lost connection proves less than a refusal: the network may be the cause. So such a message is
never parked for good. It is tried again after one hour, then two, up to a day.

`collect.fetch_failures` explains how the failing message is found.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.model.outcomes import Entry, MessageState

ATTEMPTS = 5
"""A message is parked or paused after this number of failed attempts."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(hours=1), timedelta(hours=24)
_UNSURE_PAUSES = (
    timedelta(0),
    timedelta(0),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
)
"""Pauses after 0 to 4 attempts, for a message that a receiver may have taken without an answer."""
_FAILED_ALONE = (MessageState.UNFETCHED, MessageState.PAUSED)


def is_suspect(entry: Entry | None) -> bool:
    """Return whether the message is to be asked for alone, after all others."""
    return entry is not None and entry.state in (MessageState.SUSPECT, *_FAILED_ALONE)


def is_proven(entry: Entry | None) -> bool:
    """Return whether the message failed in an earlier session in which others came."""
    return entry is not None and (
        entry.state in _FAILED_ALONE
        or (entry.state is MessageState.SUSPECT and not entry.attempts and bool(entry.reason))
    )


def is_due(entry: Entry, now: datetime) -> bool:
    """Return whether a message may be tried again: its pause is over, and so is the wait that the
    receiver asked for. True as well where the clock shows a time before the pause began."""
    return entry.at is None or not timedelta() <= now - entry.at < max(
        pause_length(entry.attempts) if entry.state is MessageState.PAUSED else timedelta(),
        requested_wait(entry.wait),
    )


def pause_length(attempts: int) -> timedelta:
    """Return how long a message is paused after this number of attempts."""
    if attempts < ATTEMPTS:
        return _UNSURE_PAUSES[max(attempts, 0)]
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(max(0, attempts - ATTEMPTS), 5)))


def requested_wait(seconds: float | None) -> timedelta:
    """Return the wait that a receiver asked for, a day at most."""
    return min(_LONGEST_PAUSE, timedelta(seconds=seconds or 0.0))


def may_be_delivered(entry: Entry) -> bool:
    """Return whether a paused message may have reached its receiver. Then its content is known, for
    it was fetched."""
    return bool(entry.content)


def state_after_fetch_failure(attempts: int, *, lost: bool) -> MessageState:
    """Return the state of a message that was asked for alone and did not come. `attempts` includes
    this one; `lost`: the connection ended."""
    if attempts < ATTEMPTS:
        return MessageState.UNFETCHED
    return MessageState.PAUSED if lost else MessageState.PARKED


def state_after_deferral(attempts: int, *, unsure: bool) -> MessageState:
    """Return the state of a message whose delivery was deferred. `attempts` includes this one;
    `unsure`: the receiver may have taken it."""
    return MessageState.PAUSED if unsure and attempts > 1 else MessageState.FAILED


def next_step(state: MessageState, attempts: int, until: datetime | None) -> str:
    """Return a sentence about the next attempt at a failed message. `until`: the end of the wait
    that its receiver asked for."""
    if until is not None:
        return (
            f"the first session after {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC tries again, "
            "as the receiver asked"
        )
    if state is MessageState.SUSPECT:
        return "the next session asks for it by itself, last"
    if state is MessageState.UNFETCHED and attempts < ATTEMPTS:
        left = ATTEMPTS - attempts
        return (
            f"the next session asks for it by itself; parked after {left} more "
            f"failure{'s' if left > 1 else ''}"
        )
    return "the next session tries again"
