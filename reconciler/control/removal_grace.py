"""A grace period for manifests that disappear: git, rsync and editors remove files before they
write them."""

from __future__ import annotations

import time
from collections.abc import Callable, Set

from reconciler.planning.observed_manifests import Key

SETTLE = 1.0
"""Seconds without any change after which a missing manifest counts as removed. git removes all
files before it writes the first one; a list that is read while files are renamed may lack some."""
LONGEST = 10.0
"""Seconds after which it counts as removed even if other files keep changing."""


class RemovalGrace:
    """Decides when a missing manifest counts as removed: after `grace` seconds without a change
    (see `SETTLE`), or after `LONGEST`. With 0 that is at once."""

    def __init__(self, grace: float, now: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._now = now
        self._present: Set[Key] = frozenset()
        self._since: dict[Key, float] = {}
        self._changed_at = float("-inf")

    def __bool__(self) -> bool:
        """Return whether anything is missing."""
        return bool(self._since)

    def look(self, present: Set[Key], *, changed: bool) -> frozenset[Key]:
        """Return the keys that are missing and do not count as removed yet. `changed`: some file is
        not as it was at the last look."""
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
        """Return the seconds until the first missing manifest can count as removed; infinity where
        none is missing."""
        return min(
            (max(0.0, self._gone_at(since) - self._now()) for since in self._since.values()),
            default=float("inf"),
        )

    def _gone_at(self, since: float) -> float:
        return min(self._changed_at + self._grace, since + LONGEST)
