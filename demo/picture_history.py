"""A day of sessions for the pictures: what one session collected, spread over many in the ledger.

The totals and the remembered messages stay what they were, so the page shows nothing that does not
fit together.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

EVERY = timedelta(minutes=30)
SESSIONS = 48
BUSY_HOURS = (0, 0, 0, 0, 0, 0, 1, 2, 4, 7, 8, 6, 4, 5, 7, 6, 4, 3, 2, 1, 1, 0, 1, 0)
"""How much mail comes in each hour of the day."""
REFUSED = json.dumps(
    {
        "reason": "ConnectionFailed",
        "message": "localhost: Connection refused",
        "retry_after": None,
        "advice": "",
    }
)
_FOUND = (
    "SELECT collectors.id, listed, sessions.collected, parked, sessions.deleted, sessions.bytes"
    " FROM sessions JOIN collectors ON collectors.id = collector_id"
    " WHERE collectors.name = ? AND sessions.collected > 0"
)
_ADDED = (
    "INSERT INTO sessions (collector_id, number, started_at, finished_at, outcome, listed,"
    " collected, skipped_reasons, parked, failed, left, deleted, bytes, error, notes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, '[]')"
)


def spread(ledger: Path, names: Sequence[str], failing: str) -> None:
    """Replace the only session of each collector by those of a day. Three of those of the
    collector `failing` failed."""
    with closing(sqlite3.connect(ledger)) as database, database:
        for name in names:
            found = database.execute(_FOUND, (name,)).fetchone()
            if found is None:
                continue
            failed = {17, 18, 19} if name == failing else set()
            lines = list(_day(found, failed, datetime.now(UTC)))
            database.execute("DELETE FROM sessions WHERE collector_id = ?", found[:1])
            database.executemany(_ADDED, lines)
            total = "UPDATE collectors SET sessions = ? WHERE id = ?"
            database.execute(total, (len(lines), found[0]))


def _day(found: tuple[int, ...], failed: set[int], now: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield the sessions of a day, the oldest first."""
    key, listed, collected, parked, deleted, size = found
    times = [now - EVERY * (SESSIONS - at) for at in range(SESSIONS)]
    weights = [0 if at in failed else BUSY_HOURS[one.hour] for at, one in enumerate(times)]
    there = listed - collected
    for at, (part, time) in enumerate(zip(_shares(collected, weights), times, strict=True)):
        before = 0 if deleted else there
        there += part
        yield (
            key,
            at + 1,
            _stored(time),
            _stored(time + timedelta(seconds=0.3 + 0.05 * part)),
            "failed" if at in failed else "succeeded",
            0 if at in failed else before + part,
            part,
            json.dumps({"collected-before": before} if before else {}),
            parked if at == SESSIONS - 1 else 0,
            part if deleted else 0,
            size * part // collected,
            REFUSED if at in failed else None,
        )


def _shares(total: int, weights: Sequence[int]) -> Iterator[int]:
    """Yield parts of `total` in proportion to the weights, which make up the whole."""
    done, weight = 0, 0
    for one in weights:
        weight += one
        share = round(total * weight / sum(weights))
        yield share - done
        done = share


def _stored(moment: datetime) -> int:
    """Return a time as the ledger stores it, in microseconds."""
    return round(moment.timestamp() * 1_000_000)
