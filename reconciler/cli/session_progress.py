"""Show the progress of sessions on stderr: bars on a terminal, lines otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from reconciler.cli.readable_text import print_message

if TYPE_CHECKING:
    from reconciler.model.status import ShownSession

_EVERY = 5.0
"""Seconds between two lines about the same collector."""


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, ShownSession], None]]:
    """Yield a function that shows a session's progress. Any thread may call it."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _lines() -> Callable[[str, ShownSession], None]:
    last_shown: dict[str, float] = {}

    def show(name: str, session: ShownSession) -> None:
        now = time.monotonic()
        if session.finished_at is None and now - last_shown.get(name, -_EVERY) >= _EVERY:
            last_shown[name] = now
            print_message(f"{name}: {_done(session):,} of {_work(session):,} messages")

    return show


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, ShownSession], None]]:
    from rich.console import Console  # noqa: PLC0415  # only where there is a terminal
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counters]}", markup=False),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    ) as bars:

        def show(name: str, session: ShownSession) -> None:
            if session.finished_at is not None:
                if name in tasks:
                    bars.remove_task(tasks.pop(name))
                return
            if name not in tasks:
                tasks[name] = bars.add_task(name, counters="")
            bars.update(
                tasks[name],
                completed=_done(session),
                total=_work(session) or None,
                counters=f"{_done(session):,} of {_work(session):,}",
            )

        yield show


def _done(session: ShownSession) -> int:
    return session.collected + session.parked + session.failed


def _work(session: ShownSession) -> int:
    """Return how many messages the session found to do, without its limit; all of them begin as
    `left`."""
    return session.listed - session.skipped
