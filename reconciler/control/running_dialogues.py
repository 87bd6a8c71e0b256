"""The dialogues in progress: of sessions and checks that run, and over push connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from reconciler.model.session_dialogue import RUNNING, DialogueLine, SessionDialogue

LinesSoFar = Callable[[], Iterable[DialogueLine]]
"""Returns the lines so far, without secrets; from any thread."""


class _Running(NamedTuple):
    what: str
    started_at: datetime
    lines: LinesSoFar


class RunningDialogues:
    """The dialogues that are not over, by collectors. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[_Running]] = {}

    def begin(
        self, collector: str, what: str, started_at: datetime, lines: LinesSoFar
    ) -> Callable[[], None]:
        """Show a dialogue as running. Return a function that ends that; it may be called twice."""
        running = _Running(what, started_at, lines)
        with self._lock:
            self._of.setdefault(collector, []).append(running)

        def end() -> None:
            with self._lock:
                kept = [one for one in self._of.pop(collector, ()) if one is not running]
                if kept:
                    self._of[collector] = kept

        return end

    def dialogues(self, collector: str) -> Sequence[SessionDialogue]:
        """Return the dialogues of a collector that have lines. Blocking."""
        with self._lock:
            running = tuple(self._of.get(collector, ()))
        found = [
            SessionDialogue(one.what, one.started_at, None, RUNNING, "", "", tuple(one.lines()))
            for one in running
        ]
        return [one for one in found if one.lines]
