"""How the folders stand, from what SELECT tells alone: enough to know that a listing would show
nothing new.

A new message raises UIDNEXT (RFC 3501, 2.3.1.1), one that went lowers EXISTS; where both are as
they were, the same messages are there. HIGHESTMODSEQ (RFC 7162) grows with every change of flags
too, which is none to us; but when it went back, the server was restored from an older state, and
nothing is certain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.sources.imap.fetch_responses import number
from reconciler.sources.imap.imap_dialogue import ImapDialogue

Stand = tuple[str, int, int, int, int]
"""A folder's name, UIDVALIDITY, UIDNEXT, EXISTS and HIGHESTMODSEQ, 0 where there is none."""


def stand(dialogue: ImapDialogue, name: str) -> Stand | None:
    """Of the folder that was opened just now; None when the server leaves out what it takes (hazard
    I28)."""
    validity, following, exists, changes = (
        _told(dialogue, item) for item in ("UIDVALIDITY", "UIDNEXT", "EXISTS", "HIGHESTMODSEQ")
    )
    if not validity or not following or exists is None:
        return None
    return name, validity, following, exists, changes or 0


def text(stands: Iterable[Stand | None]) -> str:
    """To be kept; "" when it cannot be told."""
    found = list(stands)
    return "" if None in found else json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def same(kept: str, now: Sequence[Stand | None]) -> bool:
    """Whether the same messages are there as when `kept` was made."""
    before: list[Any] = json.loads(kept)
    return len(before) == len(now) and all(
        found is not None and tuple(old[:4]) == found[:4] and old[4] <= found[4]
        for old, found in zip(before, now, strict=True)
    )


def _told(dialogue: ImapDialogue, item: str) -> int | None:
    """What stays to be taken by others (`ImapDialogue.untagged`)."""
    told = dialogue.untagged_responses.get(item)
    return number(told[-1], (1 << 63) - 1) if told and isinstance(told[-1], bytes) else None
