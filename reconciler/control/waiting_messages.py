"""Messages that are not delivered yet, as they are shown."""

from __future__ import annotations

from reconciler.collect.suspects import prospect, wished
from reconciler.model.history import FailedMessage, ParkedMessage
from reconciler.model.status import Failing, Parked


def parked(message: ParkedMessage) -> Parked:
    return Parked(
        folder=message.folder,
        key=message.key,
        size=message.size,
        reason=message.reason,
        since=message.since,
    )


def failing(message: FailedMessage) -> Failing:
    until = None if message.wait is None else message.at + wished(message.wait)
    return Failing(
        folder=message.folder,
        key=message.key,
        size=message.size,
        attempts=message.attempts,
        reason=message.reason,
        since=message.since,
        last_attempt=message.at,
        next_attempt=until,
        next=prospect(message.state, message.attempts, until),
    )
