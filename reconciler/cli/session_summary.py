"""A session in one line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.cli.readable_text import ago, octets, until
from reconciler.model.harmless_text import escape

if TYPE_CHECKING:
    from reconciler.model.status import DestinationAway, HostAway, SessionError, ShownSession


def brief(session: ShownSession, now: datetime) -> str:
    """For a table's cell: when it ended and the counters that are not zero, or why it failed."""
    if session.finished_at is None:
        return f"now, collected {session.collected:,} of {session.listed - session.skipped:,}"
    when = ago(session.finished_at, now)
    counters = {
        "collected": session.collected,
        "skipped": session.skipped,
        "parked": session.parked,
        "failed": session.failed,
        "left": session.left,
        "deleted": session.deleted,
    }
    told = (
        ", ".join(f"{name} {count:,}" for name, count in counters.items() if count) or "nothing new"
    )
    return f"{when}, {told if session.error is None else f'failed: {session.error.reason}'}"


def full(session: ShownSession) -> str:
    """Every counter, bytes and seconds."""
    reasons = ", ".join(
        f"{escape(reason)} {count:,}" for reason, count in session.skipped_reasons.items() if count
    )
    skipped = f"{session.skipped:,}" + (f" ({reasons})" if reasons else "")
    seconds = ((session.finished_at or session.started_at) - session.started_at).total_seconds()
    return (
        f"collected {session.collected:,}, skipped {skipped}, parked {session.parked:,}, "
        f"failed {session.failed:,}, left {session.left:,}, deleted {session.deleted:,}, "
        f"{octets(session.bytes)} in {seconds:.1f} s"
    )


def failure(error: SessionError) -> str:
    return f"{escape(error.reason)}: {escape(error.message)}"


def waiting_for_destination(away: DestinationAway, now: datetime) -> str:
    """The same of a mail system."""
    many = (
        "1 collector delivers there"
        if away.concerns == 1
        else f"{away.concerns:,} collectors deliver there"
    )
    return (
        f"{escape(away.destination)} takes no mail (since {ago(away.since, now)}); {many}, one of them tries again "
        f"{until(away.next_attempt, now)}"
    )


def succeeded(session: ShownSession) -> bool:
    """Parked, skipped or left messages are no failure."""
    return session.outcome == "succeeded" and session.failed == 0


def waiting(away: HostAway, now: datetime) -> str:
    """Since when nobody is let in, whom that concerns, and when the next one tries."""
    many = "1 collector waits" if away.concerns == 1 else f"{away.concerns:,} collectors wait"
    return (
        f"{escape(away.host)}:{away.port} lets nobody in (since {ago(away.since, now)}); {many} for one that tries "
        f"again {until(away.next_attempt, now)}"
    )
