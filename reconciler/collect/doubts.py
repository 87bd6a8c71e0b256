"""Sizes that a server announces too large by one and the same factor. Pure.

A message of which fewer octets came than were announced is delivered, and stays on the server (`Arrival.doubt`):
something may be missing. Where a server counts in a way of its own (twice for UTF-16, a third more for base64), that is
so for every message, and none would ever be deleted. What is really missing shows no such pattern: a text in place of a
message has the same length whatever was announced, and what is cut off is no fixed share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from reconciler.model.messages import Listed

SAMPLES = 5
"""So many messages of different announced sizes, the largest twice the smallest at least, have to agree."""
_SPREAD = 0.02
_TOLD = re.compile(r"(\d{1,18}) octets were announced and (\d{1,18}) came")


def explained(doubted: Sequence[tuple[Listed, str]]) -> list[Listed]:
    """Those of a folder whose doubt is nothing but the server's way of counting. Each comes with its doubt's words."""
    told = [(listed, int(found[1]), int(found[2])) for listed, doubt in doubted
            if (found := _TOLD.fullmatch(doubt)) and int(found[1])]
    if len(told) < SAMPLES:
        return []
    usual = median(came / announced for _, announced, came in told)
    alike = [(listed, announced) for listed, announced, came in told
             if usual and abs(came / announced - usual) <= _SPREAD * usual]
    sizes = {announced for _, announced in alike}
    if len(sizes) < SAMPLES or max(sizes) < 2 * min(sizes):
        return []
    return [listed for listed, _ in alike]
