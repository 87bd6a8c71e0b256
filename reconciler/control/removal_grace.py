"""A grace period for manifests that disappear: git, rsync and editors remove files before they
write them."""

from __future__ import annotations

import time
from collections.abc import Callable, Set

from reconciler.planning.observed_manifests import Key

SETTLE = 1.0
"""Seconds without any change after which what is missing is gone. git takes all files away before
it writes the first one; a list that is read while files are renamed may lack some."""
LONGEST = 10.0
"""Seconds until something missing is gone all the same, however much goes on around it."""


class RemovalGrace:
    """Tells what is missing from what is gone. `patience`: see `SETTLE`; 0 has what is missing gone
    at once."""

    def __init__(self, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._now = now
        self._present: Set[Key] = frozenset()
        self._since: dict[Key, float] = {}
        self._changed_at = float("-inf")

    def __bool__(self) -> bool:
        """Whether anything is missing."""
        return bool(self._since)

    def look(self, present: Set[Key], *, changed: bool) -> frozenset[Key]:
        """What is missing and not yet gone. `changed`: some file is not as it was at the last
        look."""
        now = self._now()
        if changed:
            self._changed_at = now
        missing = (self._present | self._since.keys()) - present
        self._present = present
        self._since = {
            key: since for key in missing if now < self._gone_at(since := self._since.get(key, now))
        }
        return frozenset(self._since)

    @property
    def pause(self) -> float:
        """Seconds until the first of what is missing can be gone; infinite when nothing is."""
        return min(
            (max(0.0, self._gone_at(since) - self._now()) for since in self._since.values()),
            default=float("inf"),
        )

    def _gone_at(self, since: float) -> float:
        return min(self._changed_at + self._patience, since + LONGEST)
