"""Cheap polls: an account that stands as it was left by a session with nothing to do needs no
listing.

What such a session counted is kept, with how the account stood and the digest of the spec. It holds
until anything is recorded of the collector (the ledger sees to that), or a day has passed: servers
may be wrong about themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from reconciler.collect.selection import FolderWork
from reconciler.collect.session_counters import Tally
from reconciler.model.history import AccountState
from reconciler.model.interfaces import Ledger, Source

BELIEVED = timedelta(days=1)
"""How long an account is polled without a listing."""


def unchanged(
    collector: str, digest: str, source: Source, ledger: Ledger, now: datetime, *, writable: bool
) -> AccountState | None:
    """What was kept, if the account stands so still; else None."""
    kept = ledger.account_state(collector) if digest else None
    if kept is None or kept.digest != digest or not timedelta() <= now - kept.at < BELIEVED:
        return None
    return kept if source.unchanged(kept.source_state, writable=writable) else None


def take_over(kept: AccountState, tally: Tally) -> None:
    """Count as the session did that found it so."""
    tally.listed, tally.parked, tally.left = kept.listed, kept.parked, 0
    tally.skipped = Counter(kept.skipped)


def settled(works: Sequence[FolderWork], tally: Tally) -> bool:
    """Whether a session that has just listed has nothing to do, to leave over or to say."""
    return (
        not tally.left
        and not tally.notes
        and not any(work.attempts or work.suspects or work.delete for work in works)
    )


def account_state(source: Source, digest: str, tally: Tally, now: datetime) -> AccountState | None:
    """To be kept; None where the source cannot tell how the account stands."""
    if not source.account_state or not digest:
        return None
    return AccountState(
        source.account_state, digest, now, tally.listed, dict(+tally.skipped), tally.parked
    )
