"""Deleting for good: \\Deleted, then UID EXPUNGE (RFC 4315), then a look whether they are gone."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.messages import Deletion
from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.search import others_deleted, search_uids
from reconciler.sources.imap.uids import uid_sets

_FOREIGN = ("the server lacks UIDPLUS, and other messages in the folder are marked as deleted: expunging would remove "
            "those too; ours are marked and left")


class Deleter:
    """Deletes from the folder that is selected for writing; remembers what it has marked in this session."""

    def __init__(self, dialogue: Dialogue, failures: Failures) -> None:
        self._dialogue = dialogue
        self._failures = failures
        self._marked: set[int] = set()

    def delete(self, uids: Iterable[int]) -> Deletion:
        """Confirmed are those that the server no longer has."""
        wanted = frozenset(uids)
        refused: dict[int, str] = {}
        for text, members in uid_sets(wanted):
            reason = self._mark(text) or self._expunge(text, members)
            refused.update(dict.fromkeys(members, reason) if reason else {})
        remaining = search_uids(self._dialogue, self._failures, wanted)
        return Deletion(confirmed=frozenset(str(uid) for uid in wanted - remaining),
                        refused=tuple((str(uid), refused.get(uid) or "the server still has it after EXPUNGE")
                                      for uid in sorted(remaining)))

    def _mark(self, uids: str) -> str:
        """Set \\Deleted; the reason when that is refused, else an empty text."""
        completed = self._dialogue.run("UID", "STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        return "" if completed.ok else self._failures.shown(completed.text)

    def _expunge(self, uids: str, members: frozenset[int]) -> str:
        self._marked |= members
        if "UIDPLUS" in self._dialogue.capabilities:
            completed = self._dialogue.run("UID", "EXPUNGE", uids)
        elif others_deleted(self._dialogue, self._failures, self._marked):
            return _FOREIGN
        else:
            completed = self._dialogue.run("EXPUNGE")
        return "" if completed.ok else self._failures.shown(completed.text)
