"""Time: durations by the event loop's monotonic clock, moments to show and to keep by the wall
clock (hazard R2)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    def monotonic(self) -> float:
        """Seconds of the running event loop's clock."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def at(self, moment: float) -> datetime:
        """What the wall clock will show at this monotonic time, as far as can be told now."""
        return self.now() + timedelta(seconds=moment - self.monotonic())
