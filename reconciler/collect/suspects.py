"""Who is to blame when a fetch breaks down. Pure; the session does what is decided here.

A server that cannot deliver one message may refuse it, leave it out, say goodbye, close, fall
silent, or break its protocol in the middle of others. What follows:

    what had come                         is delivered
    a message that is likely the cause    is a suspect: asked for by itself and last, from the next
                                          session on
    many of which any may be it           are asked for by themselves, after all others
    a reset while many were on their way  nobody is suspected: what was sent may not have come. One
                                          at a time from there
    the others                            go on, over another connection, from the middle of what
                                          was not tried yet
    who fails by itself                   is counted, and after `ATTEMPTS` parked with the server's
                                          words
    nothing comes at all                  the server fails for everybody: nobody is blamed, the
                                          session fails

That something else comes afterwards is the proof that a server fails for one message only; where
nothing else is asked for, a message that was collected before is asked for again to see (in the
deleting modes one is kept for that until the end). Only where there is none, it counts that others
came earlier.

A connection that is lost proves less than a refusal: it may be the network. So such a message is
never parked for good, but paused: tried again after an hour, then two, up to a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from itertools import pairwise
from typing import TypeVar

from reconciler.model.messages import Listed
from reconciler.model.outcomes import Entry, MessageState

ATTEMPTS = 5
"""A message that failed this often on its own account is parked."""
RECONNECTIONS = 20
"""So many connections more may a session make, besides those that paid."""
WORTH, PAID = 5, 60
"""A connection that brought so many messages has paid, so that one more may be made; up to so
many."""
BARREN = 4
"""So many connections in a row on which nothing came, though messages from everywhere in the folder
were asked for: it gives nothing now."""
WARILY = 100
"""After a connection on which nothing came, or that was reset, so many messages are asked for one
at a time."""
LOSSES = 10
"""So many messages that have done so before may end a connection by themselves in one session; the
others wait for the next one."""
_WITNESSES = 2
_PAUSE, _LONGEST = timedelta(hours=1), timedelta(hours=24)
_UNSURE = (
    timedelta(0),
    timedelta(0),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
)
"""After fewer attempts: only of what a receiver may have taken without an answer, for each repeat
may be a copy."""
_PROVEN = (MessageState.UNFETCHED, MessageState.PAUSED)


def is_suspect(entry: Entry | None) -> bool:
    """Whether a message is to be asked for by itself."""
    return entry is not None and entry.state in (MessageState.SUSPECT, *_PROVEN)


def is_proven(entry: Entry | None) -> bool:
    """Whether it has failed before, while others came."""
    return entry is not None and (
        entry.state in _PROVEN
        or (entry.state is MessageState.SUSPECT and not entry.attempts and bool(entry.reason))
    )


def pause(attempts: int) -> timedelta:
    """How long a message waits that was given up after so many attempts because the connection was
    lost each time."""
    if attempts < ATTEMPTS:
        return _UNSURE[max(attempts, 0)]
    return min(_LONGEST, _PAUSE * (1 << min(max(0, attempts - ATTEMPTS), 5)))


def is_due(entry: Entry, now: datetime) -> bool:
    """Whether a paused message's pause is over, and what its receiver asked for; also where the
    clock is behind the pause's beginning."""
    return entry.at is None or not timedelta() <= now - entry.at < max(
        pause(entry.attempts) if entry.state is MessageState.PAUSED else timedelta(),
        wished(entry.wait),
    )


def wished(wait: float | None) -> timedelta:
    """How long a receiver is obeyed that asked for so many seconds."""
    return min(_LONGEST, timedelta(seconds=wait or 0.0))


def prospect(state: MessageState, attempts: int, until: datetime | None) -> str:
    """What happens next to a message that failed, in words. `until`: when the pause ends that its
    receiver asked for."""
    if until is not None:
        return f"the first session after {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC tries again, as the receiver asked"
    if state is MessageState.SUSPECT:
        return "the next session asks for it by itself, last"
    if state is MessageState.UNFETCHED and attempts < ATTEMPTS:
        left = ATTEMPTS - attempts
        return f"the next session asks for it by itself; parked after {left} more failure{'s' if left > 1 else ''}"
    return "the next session tries again"


def may_be_delivered(entry: Entry) -> bool:
    """Whether a paused message waits because a receiver may have taken it: its content is known, so
    it was fetched."""
    return bool(entry.content)


def verdict(attempts: int, *, lost: bool) -> MessageState:
    """What becomes of a message that has failed by itself so often; `lost`: the connection
    ended."""
    if attempts < ATTEMPTS:
        return MessageState.UNFETCHED
    return MessageState.PAUSED if lost else MessageState.PARKED


def undelivered(attempts: int, *, unsure: bool) -> MessageState:
    """What becomes of a message that was put off at delivery so often; `unsure`: the receiver may
    have taken it."""
    return MessageState.PAUSED if unsure and attempts > 1 else MessageState.FAILED


def witnesses(messages: Iterable[Listed]) -> list[Listed]:
    """Those that cost least to fetch again; one of them alone may have become unreadable since."""
    return nsmallest(
        _WITNESSES,
        (listed for listed in messages if listed.size),
        key=lambda listed: listed.size or 0,
    )


T = TypeVar("T")


def turned(messages: Mapping[str, T], places: Mapping[str, int], *, last: bool) -> dict[str, T]:
    """Beginning with the middle one, or the last, of the longest stretch of which nothing is known,
    by their `places`: many that do not come may lie side by side. The others are found by halves,
    and backwards from where they end."""
    ordered = sorted(messages, key=places.__getitem__)
    begins = [
        0,
        *(n for n in range(1, len(ordered)) if places[ordered[n]] != places[ordered[n - 1]] + 1),
        len(ordered),
    ]
    begin, end = max(pairwise(begins), key=lambda stretch: stretch[1] - stretch[0], default=(0, 0))
    first = (begin + end) // 2
    chosen = (
        ordered[first:] + ordered[:first]
        if not last
        else [*reversed(ordered[:end]), *reversed(ordered[end:])]
    )
    return {key: messages[key] for key in chosen}
