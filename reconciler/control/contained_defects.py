"""Defects of ours, each contained to the collector that it came up for: the others go on, and it is
not kept quiet."""

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
    """Counts them, tells of each once in the log, and says which collectors are concerned now. Only
    for the event loop's thread. `changed` hears of a collector of which there is something else to
    say."""

    def __init__(self) -> None:
        self.count = 0
        self.changed: Callable[[str], None] = lambda _: None
        self._found: dict[str, dict[str, str]] = {}
        """By collector, by what was to be done: the place in our code."""

    @contextmanager
    def contained(
        self, name: str, doing: str, otherwise: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """An exception inside of this context ends only what is `doing` for this collector, and
        what was told of that is over when there is none. `otherwise` is done after one."""
        try:
            yield
        except Exception as defect:  # noqa: BLE001
            # what keeps one collector's defect from stopping the others
            self._tell(name, doing, defect)
            if otherwise is not None:
                otherwise()
        else:
            self._over(name, doing)

    def judge(self, name: str, doing: str, defect: Exception | None) -> None:
        """The same for what was done elsewhere, in another thread: it ended so."""
        if defect is None:
            self._over(name, doing)
        else:
            self._tell(name, doing, defect)

    def unforeseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's exception handler: nothing waits for what failed, so nobody else tells
        of it."""
        defect = context.get("exception")
        self.count += isinstance(defect, Exception)
        log.error(
            "defect",
            doing=str(context.get("message", "")),
            where=place_of(defect) if defect else "",
        )

    def of(self, name: str) -> str:
        """What is to be said of a collector; "" where nothing is."""
        return "; ".join(
            _sentence(doing, place) for doing, place in self._found.get(name, {}).items()
        )

    def only(self, name: str, doing: str) -> str:
        """The same of one thing that was to be done."""
        place = self._found.get(name, {}).get(doing)
        return _sentence(doing, place) if place else ""

    def forget(self, name: str) -> None:
        """It runs no longer."""
        self._found.pop(name, None)

    def concerned(self, doing: str) -> str:
        """A sentence about the collectors for which this fails now; "" where there are none."""
        found = sorted(
            (name, steps[doing]) for name, steps in self._found.items() if doing in steps
        )
        if not found:
            return ""
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        names = ", ".join(name for name, _ in found[:_NAMED])
        return f"a defect of mailcollector ({found[0][1]}) in {doing} of {names}{more}: please report it"

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
