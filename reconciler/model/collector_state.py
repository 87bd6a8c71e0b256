"""The state of a collector in one word, for lists, filters and counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.model.status import ShownCollector

PAUSED = "Paused"
"""The reason of the condition Ready while the service is paused."""
_SPARE = timedelta(minutes=2)
"""What a session may take, or wait for its turn, before its collector counts as stale."""


class CollectorState(StrEnum):
    """What a collector's conditions come to. The first of these that holds is its state."""

    DISABLED = "disabled"
    STALLED = "stalled"
    """It does not go on before somebody acts: the manifest, the secret, or the login is wrong."""
    PAUSED = "paused"
    """The service is paused: nothing is collected."""
    FAILING = "failing"
    """Its last session failed; it tries again by itself."""
    WAITING = "waiting"
    """No session is over yet."""
    READY = "ready"


_IDLE = {CollectorState.DISABLED, CollectorState.PAUSED}


def state_of(collector: ShownCollector) -> CollectorState:
    """Return the state of a collector."""
    ready = stalled = None
    for one in collector.status.conditions:
        if one.type == "Ready":
            ready = one
        elif one.type == "Stalled":
            stalled = one
    if ready is not None and ready.reason == "Disabled":
        return CollectorState.DISABLED
    if stalled is not None and stalled.status == "True":
        return CollectorState.STALLED
    if ready is not None and ready.reason == PAUSED:
        return CollectorState.PAUSED
    if ready is None or ready.status == "Unknown":
        return CollectorState.WAITING
    return CollectorState.READY if ready.status == "True" else CollectorState.FAILING


def is_stale(collector: ShownCollector, now: datetime) -> bool:
    """Return whether what is known of a collector is older than its interval allows: two intervals
    and two minutes after its last session ended."""
    last = collector.status.last_session
    if last is None or last.finished_at is None or now - last.finished_at <= _SPARE:
        return False
    if state_of(collector) in _IDLE:
        return False
    return now - last.finished_at > 2 * interval_of(collector.spec) + _SPARE


def interval_of(spec: dict[str, Any]) -> timedelta:
    """Return the interval of an effective spec; 5 minutes where it has none."""
    return timedelta(seconds=seconds(spec.get("collect", {}).get("interval", "5m")))


def recipients_of(spec: dict[str, Any]) -> frozenset[str]:
    """Return the local addresses that a spec names, for counting people."""
    recipient = spec.get("recipient", {})
    detect = recipient.get("detect") or {}
    domains = detect.get("domains") or {}
    local = str(detect.get("to", "")) or next(iter(map(str, domains.values())), "")
    named = [f"{part}@{local}" for part in detect.get("mailboxes") or ()]
    found = [recipient.get("forwardTo"), detect.get("default"), *named]
    return frozenset(str(one) for one in found if one)
