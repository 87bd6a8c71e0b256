"""Names that were asked for and do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from reconciler.model.errors import CollectorError


class UnknownCollector(CollectorError):
    """No manifest declares a collector of this name."""

    reason = "NotFound"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no collector {name!r}{suggestion(name, known)}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`: did you mean …?` with the nearest known word, or nothing."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {nearest[0]}?" if nearest else ""


def unknown(names: Iterable[str], known: Collection[str]) -> list[UnknownCollector]:
    """One error for each of `names` that is not among `known`."""
    return [UnknownCollector(name, known) for name in names if name not in known]
