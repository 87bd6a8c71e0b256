"""Texts as people read them: sizes and times in words, and messages on standard error."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime

import click


def print_message(text: str) -> None:
    """Print a message for people on standard error. If it cannot be written (a full disk), the verb
    continues."""
    with suppress(OSError):
        click.echo(text, err=True)


def plain_terminal() -> bool:
    """Return whether the terminal must not get colours or be cleared (no-color.org; TERM=dumb)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def octets(count: int) -> str:
    """Return a size such as 999 B, 1.2 kB, 34.5 MB: decimal units, one digit."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.95 or unit == "TB":
            break
    return f"{size:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return a duration such as 45s, 12m, 3h, 2d: the largest unit that fits, rounded down."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or seconds == size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def time_since(when: datetime, now: datetime) -> str:
    return f"{duration((now - when).total_seconds())} ago"


def time_until(when: datetime, now: datetime) -> str:
    ahead = (when - now).total_seconds()
    return "now" if ahead < 1 else f"in {duration(ahead)}"
