"""UID SEARCH (RFC 3501, 6.4.4), believed no further than it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.reading import Untagged
from reconciler.sources.imap.responses import LARGEST_UID
from reconciler.sources.imap.uids import uid_sets

_NUMBER = re.compile(rb"(?<!\S)[1-9]\d{0,9}(?!\S)")


def search_uids(dialogue: Dialogue, failures: Failures, uids: Iterable[int]) -> frozenset[int]:
    """Which of these messages exist."""
    found: set[int] = set()
    for text, members in uid_sets(uids):
        _search(dialogue, failures, f"UID {text}", found.add, among=members)
    return frozenset(found)


def others_deleted(dialogue: Dialogue, failures: Failures, uids: Collection[int]) -> bool:
    """Whether other messages of the folder than these bear \\Deleted, whoever put it there."""
    others: list[int] = []
    _search(dialogue, failures, "DELETED", lambda uid: others.extend([] if others or uid in uids else [uid]))
    return bool(others)


def _search(dialogue: Dialogue, failures: Failures, criteria: str, take: Callable[[int], object],
            among: Collection[int] = range(LARGEST_UID + 1)) -> None:
    """What cannot be a UID, or is not `among` those asked for, is dropped (hazard I14)."""
    def hear(response: Untagged) -> None:
        for word in _NUMBER.finditer(response.text):
            if (uid := int(word[0])) in among:
                take(uid)

    completed = dialogue.run("UID", "SEARCH", criteria, hear={"SEARCH": hear})
    if not completed.ok:
        raise failures.refused("searching", completed.text)
