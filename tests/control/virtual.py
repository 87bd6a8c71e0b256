"""Virtual time: an event loop whose clock leaps to the next timer when nobody has anything to
do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from reconciler.control.event_loop import Clock

T = TypeVar("T")
EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)


class _Leaping(selectors.DefaultSelector):
    """Passes the time that the loop would sleep at once."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise AssertionError("everybody waits for ever")
        self.passed += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.passed


class VirtualClock(Clock):
    """The wall clock stands at `EPOCH` at first, and may be set."""

    def __init__(self) -> None:
        self.jumped = timedelta()

    def now(self) -> datetime:
        return EPOCH + self.jumped + timedelta(seconds=self.monotonic())


def virtual(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario in virtual time; it begins at 0 seconds."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario())
