"""What holds of every session that is shown."""

from __future__ import annotations

from typing import Any


def assert_adds_up(session: dict[str, Any]) -> None:
    parts = sum(session[part] for part in ("collected", "skipped", "parked", "failed", "left"))
    assert session["listed"] == parts, session
    assert session["skipped"] == sum(session["skippedReasons"].values()), session
