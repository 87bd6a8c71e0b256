"""The unchanged check: an account that is as it was after a session with nothing to do needs no
listing.

The counters of such a session are kept with the state of the account and the digest of the spec.
They hold until the ledger records anything of the collector, for a day at most, because servers may
report a wrong state.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from reconciler.collect.selection import Selection
from reconciler.collect.session_context import S, SessionContext, Tally
from reconciler.model.history import AccountState

BELIEVED = timedelta(days=1)
"""The longest time in which an unchanged account is polled without a listing."""


def unchanged_state(context: SessionContext[S]) -> AccountState | None:
    """Return the kept state if the account is still in it, else None."""
    task = context.task
    kept = context.ledger.account_state(task.collector) if task.digest else None
    if (
        kept is None
        or kept.digest != task.digest
        or not timedelta() <= context.now() - kept.at < BELIEVED
    ):
        return None
    still = context.source.unchanged(kept.source_state, writable=task.deletes)
    return kept if still else None


def count_as_before(kept: AccountState, tally: Tally) -> None:
    """Take over the counters of the session that found the account in this state."""
    tally.listed, tally.parked, tally.left = kept.listed, kept.parked, 0
    tally.skipped = Counter(kept.skipped)


def had_nothing_to_do(chosen: Selection, tally: Tally) -> bool:
    """Return whether a session that has just listed found nothing to attempt, to leave for later or
    to note."""
    return (
        not tally.left
        and not tally.notes
        and not any(work.attempts or work.suspects or work.delete for work in chosen.folders)
        and not chosen.paused
    )


def account_state(context: SessionContext[S]) -> AccountState | None:
    """Return the state to keep; None if the source does not know the account's state."""
    task, tally, state = context.task, context.tally, context.source.account_state
    if not state or not task.digest:
        return None
    return AccountState(
        state, task.digest, context.now(), tally.listed, dict(+tally.skipped), tally.parked
    )
