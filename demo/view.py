"""The table of collectors: redrawn in place on a terminal, printed repeatedly elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

Lines = Callable[[], list[str]]
_REDRAWN, _PRINTED = 0.5, 5.0
"""The intervals of both in seconds."""


def watch(lines: Lines, ended: Callable[[], bool]) -> None:
    """Show `lines()` until `ended()` is true. Ctrl-C raises KeyboardInterrupt."""
    (_redraw if sys.stdout.isatty() else _print)(lines, ended)


def _redraw(lines: Lines, ended: Callable[[], bool]) -> None:
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while not ended():
            live.update(
                Text("\n", no_wrap=True, overflow="ellipsis").join(map(Text.from_ansi, lines())),
                refresh=True,
            )
            time.sleep(_REDRAWN)


def _print(lines: Lines, ended: Callable[[], bool]) -> None:
    while not ended():
        show(lines())
        time.sleep(_PRINTED)


def show(lines: Sequence[str]) -> None:
    """Print lines and a blank line, with colours only on a terminal."""
    click.echo("\n".join([*lines, ""]))


def tail(path: Path, count: int) -> list[str]:
    """Return the last lines of a log."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read().decode(errors="replace").splitlines()[-count:]
