"""How many messages the next session would delete on the server without collecting them first.

They were collected, but their deletion failed, was cut short, or was not asked for by the mode that
the collector had then.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.collect.selection import COLLECTED_BEFORE
from reconciler.model.status import ShownCollector, ShownSession


def due_deletions(
    mode: str, sessions: Iterable[ShownSession], remembered: int, kept_back: int
) -> int | None:
    """Return their number as of the last session that saw the account; None where nothing is
    deleted, or where no session saw it.

    `remembered`: messages in the history. `kept_back`: those that are not to be deleted although
    they were collected.
    """
    if mode not in {"new-delete", "all-delete"}:
        return None
    for session in sessions:
        if session.listed or session.outcome == "succeeded":
            there = session.collected + session.skipped_reasons.get(COLLECTED_BEFORE, 0)
            return max(0, min(there - session.deleted, remembered) - kept_back)
    return None


def mode_of(collector: ShownCollector) -> str:
    """Return the mode in the effective spec; "" where it has none."""
    return str(collector.spec.get("collect", {}).get("mode", ""))
