"""Collectors as an API would show them. `NOW` is when everybody looks at them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.model.outcomes import Totals
from reconciler.model.status import (
    CheckedFolder,
    CheckReport,
    CheckStep,
    Condition,
    Description,
    Parked,
    SessionError,
    ShownCollector,
    ShownMetadata,
    ShownSession,
    Status,
)

NOW = datetime(2026, 11, 22, 22, 40, tzinfo=UTC)
HOSTILE = "gone\x1b[2J\r\nsales True \u202eevil"
"""What a hostile server says: clears the screen, forges a line, turns the line round."""


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def session(**changes: Any) -> ShownSession:
    values: dict[str, Any] = {
        "started_at": at(-180.8),
        "finished_at": at(-180),
        "outcome": "succeeded",
        "listed": 15,
        "collected": 12,
        "skipped": 3,
        "skipped_reasons": {"collected-before": 3},
        "parked": 0,
        "failed": 0,
        "left": 0,
        "deleted": 0,
        "bytes": 1_234_567,
        "error": None,
    }
    return ShownSession(**{**values, **changes})


def refused(**changes: Any) -> ShownSession:
    nothing = {"listed": 0, "collected": 0, "skipped": 0, "skipped_reasons": {}, "bytes": 0}
    error = SessionError(reason="AuthenticationFailed", message="wrong password")
    return session(**{"outcome": "failed", "error": error, **nothing, **changes})


def collector(
    name: str = "sales",
    *,
    ready: str = "True",
    reason: str = "Collecting",
    message: str = "",
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    last: ShownSession | None = None,
    **status: Any,
) -> ShownCollector:
    source = {
        "protocol": "imap",
        "host": "imap.почта.рф",
        "port": 993,
        "tls": "implicit",
        "username": "пример@почта.рф",
        "folders": ["INBOX", "Lists/*"],
    }
    declared = {
        "title": "Почта отдела продаж",
        "enabled": True,
        "source": source,
        "collect": {
            "mode": "new-keep",
            "interval": "5m",
            "limit": 100,
            "push": False,
            "maxMessageSize": "50MiB",
        },
        "recipient": {"forwardTo": "sales@икс.рф"},
    }
    condition = Condition(
        type="Ready", status=ready, reason=reason, message=message, last_transition_time=at(-7200)
    )
    known = Status(
        conditions=(condition,),
        generation=3,
        observed_generation=3,
        last_session=last,
        totals=Totals(sessions=42, collected=1234, failed=1, deleted=0, bytes=98_765_432),
        **status,
    )
    return ShownCollector(
        metadata=ShownMetadata(name=name, labels={"team": name} if labels is None else labels),
        spec={**declared, **(spec or {})},
        status=known,
    )


def sales() -> ShownCollector:
    return collector(
        last=session(), next_session=at(120), revision="1c25f18", loop_started_at=at(-86400)
    )


def info() -> ShownCollector:
    pop3 = {"protocol": "pop3", "host": "2001:db8::1", "tls": "none", "username": "info"}
    return collector(
        "info",
        ready="False",
        reason="AuthenticationFailed",
        message="refused: " + HOSTILE,
        spec={"source": pop3, "title": "Info"},
        last=refused(),
        next_session=at(7260),
    )


def description(shown: ShownCollector | None = None, **changes: Any) -> Description:
    parked = Parked(
        folder="INBOX",
        key="17",
        size=52_428_801,
        reason="no recipient: " + HOSTILE,
        since=at(-90000),
    )
    values: dict[str, Any] = {
        "collector": shown or sales(),
        "sessions": (session(), refused(finished_at=at(-481), started_at=at(-481.5))),
        "parked": (parked,),
        "history_size": 1234,
        "epoch": 2,
        "source": "collectors.d/sales.yaml:2",
    }
    return Description(**{**values, **changes})


def check_report(**changes: Any) -> CheckReport:
    steps = (
        CheckStep(step="log in and list", ok=True, message="15 messages in 1 folders"),
        CheckStep(step="destination", ok=True, message="reachable"),
    )
    values: dict[str, Any] = {
        "name": "sales",
        "ok": True,
        "steps": steps,
        "notes": ("read with RETR",),
        "folders": (CheckedFolder(name="INBOX", messages=15, bytes=1_500_000, new=12, skipped=3),),
        "first_session": "collects 12 messages and leaves them on the server",
    }
    return CheckReport(**{**values, **changes})
