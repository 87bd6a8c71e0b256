"""The state of a folder as SELECT tells it: enough to know that nothing new would be listed.

A new message raises UIDNEXT (RFC 3501, section 2.3.1.1), a message that is gone lowers EXISTS.
Where both are unchanged, the same messages are there. HIGHESTMODSEQ (RFC 7162) also grows with
every change of flags, which does not matter here. But where it fell, the server was restored from
an older state, and nothing is certain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.sources.imap.fetch_responses import number
from reconciler.sources.imap.imap_dialogue import ImapDialogue

FolderState = tuple[str, int, int, int, int]
"""A folder's name, UIDVALIDITY, UIDNEXT, EXISTS and HIGHESTMODSEQ (0 where there is none)."""


def selected_state(dialogue: ImapDialogue, name: str) -> FolderState | None:
    """Return the state of the folder that was just selected.

    None where the server leaves out one of the needed numbers (hazard I28).
    """
    validity, next_uid, exists, changes = (
        _peek(dialogue, item) for item in ("UIDVALIDITY", "UIDNEXT", "EXISTS", "HIGHESTMODSEQ")
    )
    if not validity or not next_uid or exists is None:
        return None
    return name, validity, next_uid, exists, changes or 0


def serialized(states: Iterable[FolderState | None]) -> str:
    """Return the states as JSON to be stored, "" where one of them is not known."""
    known = list(states)
    return "" if None in known else json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def same_messages(stored: str, now: Sequence[FolderState | None]) -> bool:
    """Return whether the same messages are there as when `stored` was serialized."""
    before: list[Any] = json.loads(stored)
    return len(before) == len(now) and all(
        state is not None and tuple(old[:4]) == state[:4] and old[4] <= state[4]
        for old, state in zip(before, now, strict=True)
    )


def _peek(dialogue: ImapDialogue, item: str) -> int | None:
    # `ImapDialogue.untagged` would take the response away from those who ask for it later.
    values = dialogue.untagged_responses.get(item)
    return number(values[-1], (1 << 63) - 1) if values and isinstance(values[-1], bytes) else None
