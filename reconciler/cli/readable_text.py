"""Texts as people read them: sizes and times in words, and what a server said made harmless (hazard
M14)."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

# Beyond C0: DEL and C1, what changes the direction of a line, what is invisible, line separators,
# lone surrogates.
_HIDDEN = (
    "\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[\x00-\x1f{_HIDDEN}]")
_UNSAFE_IN_JSON = re.compile(f"[{_HIDDEN}]")


def escape(text: str) -> str:
    """Make control characters and those that reorder or hide text visible: a line stays one line as
    it was written."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def is_unsafe(text: str) -> bool:
    """Whether `escape` would change it."""
    return _UNSAFE.search(text) is not None


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON in every script, with the characters that `escape` means as \\u escapes."""
    return _UNSAFE_IN_JSON.sub(
        lambda found: json.dumps(found[0])[1:-1],
        json.dumps(value, ensure_ascii=False, indent=indent, default=str),
    )


def yaml_text(value: Any) -> str:
    """YAML in every script, with the characters that `escape` means as escapes."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # only for -o yaml

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.width = 1 << 20
    yaml.representer.add_representer(str, _quoted_if_unsafe)
    written = io.StringIO()
    yaml.dump(value, written)
    return _UNSAFE_IN_JSON.sub(
        lambda found: found[0].encode("unicode_escape").decode("ascii"), written.getvalue()
    )


def _quoted_if_unsafe(representer: Any, text: str) -> Any:
    return representer.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if is_unsafe(text) else None
    )


def tell(text: str) -> None:
    """On standard error, for people. Where that cannot be written (a full disk), the verb goes on
    all the same."""
    with suppress(OSError):
        click.echo(text, err=True)


def plain_terminal() -> bool:
    """Whether the terminal is not to be given colours, or told to clear itself (no-color.org;
    TERM=dumb)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def octets(count: int) -> str:
    """999 B, 1.2 kB, 34.5 MB: decimal units, one digit."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.95 or unit == "TB":
            break
    return f"{size:.1f} {unit}"


def length(seconds: float) -> str:
    """45s, 12m, 3h, 2d: the largest unit that fits, rounded down."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or seconds == size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def ago(when: datetime, now: datetime) -> str:
    return f"{length((now - when).total_seconds())} ago"


def until(when: datetime, now: datetime) -> str:
    ahead = (when - now).total_seconds()
    return "now" if ahead < 1 else f"in {length(ahead)}"


def moment(when: datetime) -> str:
    """2026-11-22 22:40:00Z, to the second, UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
