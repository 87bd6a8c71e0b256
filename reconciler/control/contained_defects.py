"""Contain defects of this program: each affects only the collector for which it occurred.

The others go on. The defect is counted, logged, and shown with its collector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reconciler.log import log
from reconciler.manifests.defect_text import place_of

INTERNAL_ERROR = "InternalError"
_NAMED = 3


class ContainedDefects:
    """Counts defects, logs each once, and says which collectors are concerned now. To be used in
    the event loop's thread only.

    `changed` is called with a collector's name when its defects have changed.
    """

    def __init__(self) -> None:
        self.count = 0
        self.changed: Callable[[str], None] = lambda _: None
        self._found: dict[str, dict[str, str]] = {}
        """The place of the defect in our code, by collector and activity."""

    @contextmanager
    def contained(
        self, name: str, doing: str, otherwise: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Contain an exception: it ends only the activity `doing` of this collector. `otherwise` is
        called after an exception. Without one, an earlier defect is forgotten."""
        try:
            yield
        except Exception as defect:  # noqa: BLE001
            self._tell(name, doing, defect)
            if otherwise is not None:
                otherwise()
        else:
            self._over(name, doing)

    def judge(self, name: str, doing: str, defect: Exception | None) -> None:
        """Note how something ended that was done in another thread; see `contained`."""
        if defect is None:
            self._over(name, doing)
        else:
            self._tell(name, doing, defect)

    def unforeseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception that no code waits for: the event loop's exception handler."""
        defect = context.get("exception")
        self.count += isinstance(defect, Exception)
        log.error(
            "defect",
            doing=str(context.get("message", "")),
            where=place_of(defect) if defect else "",
        )

    def of(self, name: str) -> str:
        """Return the sentence about a collector's defects; "" if there are none."""
        return "; ".join(
            _sentence(doing, place) for doing, place in self._found.get(name, {}).items()
        )

    def only(self, name: str, doing: str) -> str:
        """Return the same for one activity only."""
        place = self._found.get(name, {}).get(doing)
        return _sentence(doing, place) if place else ""

    def forget(self, name: str) -> None:
        """Forget a collector that runs no longer."""
        self._found.pop(name, None)

    def concerned(self, doing: str) -> str:
        """Return a sentence about the collectors for which this fails now; "" where there are
        none."""
        found = sorted(
            (name, steps[doing]) for name, steps in self._found.items() if doing in steps
        )
        if not found:
            return ""
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        names = ", ".join(name for name, _ in found[:_NAMED])
        return (
            f"a defect of mailcollector ({found[0][1]}) in {doing} of {names}{more}: "
            "please report it"
        )

    def _tell(self, name: str, doing: str, defect: Exception) -> None:
        self.count += 1
        place = place_of(defect)
        steps = self._found.setdefault(name, {})
        if steps.get(doing) != place:  # once, not with each attempt; its text may quote a password
            steps[doing] = place
            log.error("defect", collector=name, doing=doing, where=place)
            self.changed(name)

    def _over(self, name: str, doing: str) -> None:
        steps = self._found.get(name)
        if steps is None or doing not in steps:
            return
        del steps[doing]
        if not steps:
            del self._found[name]
        self.changed(name)


def _sentence(doing: str, place: str) -> str:
    return f"a defect of mailcollector in {doing} ({place}): please report it"
