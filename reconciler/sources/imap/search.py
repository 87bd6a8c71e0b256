"""UID SEARCH (RFC 3501, 6.4.4), believed no further than it must be."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.responses import LARGEST_UID
from reconciler.sources.imap.uids import uid_sets

_NUMBER = re.compile(rb"(?<!\S)[1-9]\d{0,9}(?!\S)")


def search_uids(dialogue: Dialogue, failures: Failures, uids: Iterable[int]) -> frozenset[int]:
    """Which of these messages exist."""
    found: set[int] = set()
    for text, members in uid_sets(uids):
        found |= _search(dialogue, failures, f"UID {text}") & members
    return frozenset(found)


def search_deleted(dialogue: Dialogue, failures: Failures) -> frozenset[int]:
    """Which messages of the folder bear \\Deleted, whoever put it there."""
    return _search(dialogue, failures, "DELETED")


def _search(dialogue: Dialogue, failures: Failures, criteria: str) -> frozenset[int]:
    """Duplicates and what cannot be a UID are dropped (hazard I14)."""
    dialogue.untagged("SEARCH")
    completed = dialogue.run("UID", "SEARCH", criteria)
    if not completed.ok:
        raise failures.refused("searching", completed.text)
    numbers = (int(word) for line in dialogue.untagged("SEARCH") for word in _NUMBER.findall(line))
    return frozenset(uid for uid in numbers if uid <= LARGEST_UID)
