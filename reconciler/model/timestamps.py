"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(when: datetime) -> str:
    """Return a time in UTC as of RFC 3339, such as 2026-11-22T22:40:00.123456Z."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(when: datetime) -> str:
    """Return a time such as 2026-11-22 22:40:00Z, to the second, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
