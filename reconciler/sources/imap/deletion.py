"""Deleting for good: \\Deleted, then UID EXPUNGE (RFC 4315), then a look whether they are gone.

A server that refuses a command because of one message in its set is asked by halves, as long as
anything is accepted. Where the server refuses that look, another one is tried, and its EXPUNGE
responses are counted; what remains open is not confirmed, which is no failure: what is still there
is listed by the next session. That a SEARCH does not name them is not enough where the server has
told of fewer that went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reconciler.model.messages import Deletion
from reconciler.sources.imap.imap_dialogue import ImapDialogue
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.response_reader import Untagged
from reconciler.sources.imap.uid_search import (
    existing_uids,
    others_deleted,
    others_flagged,
    search_uids,
    uid_sets,
)

_FOREIGN = (
    "the server lacks UIDPLUS, and other messages in the folder are marked as deleted: expunging would remove "
    "those too; ours are marked and left"
)
_BLIND = (
    "the server lacks UIDPLUS, and does not say which messages in the folder are marked as deleted: expunging "
    "might remove others; ours are marked and left"
)
_ALIKE = (_FOREIGN, _BLIND)
"""Reasons that are the same for any part of a set."""
_LEVELS = 2
"""So often are sets halved of which no part was accepted: nothing may be deleted there."""
_COMMANDS = 60
"""So many sets are asked for; what is left is the next session's."""
_OPEN = "not confirmed: the server does not say whether it still has it after EXPUNGE"


class Deleter:
    """Deletes from the folder that is selected for writing. `marked` are the UIDs that this session
    has marked in it, over whichever connection."""

    def __init__(
        self,
        dialogue: ImapDialogue,
        failures: ImapRefusals,
        marked: set[int],
        *,
        searches: bool = True,
        count: Callable[[], int] = lambda: 0,
    ) -> None:
        """Not `searches`: the server dies of SEARCH. `count` opens the folder anew and tells how
        many messages are in it; 0: nobody knows."""
        self._dialogue = dialogue
        self._failures = failures
        self._marked = marked
        self._searches = searches
        self._count = count
        self._expunged = 0
        self.searching = False
        """A SEARCH is under way."""

    def delete(self, uids: Iterable[int]) -> Deletion:
        """Confirmed are those that the server no longer has."""
        wanted = frozenset(uids)
        refused: dict[int, str] = {}
        counted: set[int] = set()
        sets, levels, asked = list(uid_sets(wanted)), 0, 0
        while sets:
            divisible: list[frozenset[int]] = []
            for text, members in sets:
                self._expunged = 0
                reason = self._mark(text) or self._expunge(text, members)
                if reason:
                    refused.update(dict.fromkeys(members, reason))
                    divisible += [members] if len(members) > 1 and reason not in _ALIKE else []
                    continue
                for uid in members:
                    refused.pop(uid, None)
                if self._expunged >= len(members):
                    counted |= members
            levels, asked = levels + 1, asked + len(sets)
            goes_on = asked < _COMMANDS and (levels <= _LEVELS or len(refused) < len(wanted))
            sets = [part for members in divisible for part in _halves(members)] if goes_on else []
        self.searching = self._searches
        found = (search_uids if self._searches else existing_uids)(self._dialogue, wanted)
        self.searching = False
        if self._searches and found is not None and (untold := wanted - found - counted):
            # a server may show expunged messages until then (RFC 3501, 7.4.1)
            self._dialogue.noop()
            found |= existing_uids(self._dialogue, untold) or frozenset()
        remaining = wanted - counted if found is None else found
        why = _OPEN if found is None else "the server still has it after EXPUNGE"
        return Deletion(
            confirmed=frozenset(str(uid) for uid in wanted - remaining),
            refused=tuple((str(uid), refused.get(uid) or why) for uid in sorted(remaining)),
        )

    def _mark(self, uids: str) -> str:
        """Set \\Deleted; the reason when that is refused, else an empty text."""
        completed = self._dialogue.run("UID", "STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        return "" if completed.ok else self._failures.shown(completed.text)

    def _expunge(self, uids: str, members: frozenset[int]) -> str:
        self._marked |= members
        hear = {"EXPUNGE": self._hear}
        completed = None
        if "UIDPLUS" in self._dialogue.capabilities:
            completed = self._dialogue.run("UID", "EXPUNGE", uids, hear=hear)
        if completed is None or completed.status == "BAD":  # offered, and not understood
            others = self._others()
            if others is None or others:
                refused = [self._failures.shown(completed.text)] if completed is not None else []
                return "; ".join([*refused, _BLIND if others is None else _FOREIGN])
            completed = self._dialogue.run("EXPUNGE", hear=hear)
        return "" if completed.ok else self._failures.shown(completed.text)

    def _others(self) -> bool | None:
        others = None
        if self._searches:
            self.searching = True
            others = others_deleted(self._dialogue, self._marked)
            self.searching = False
        if others is None and (count := self._count()):
            return others_flagged(self._dialogue, self._marked, count)
        return others

    def _hear(self, _: Untagged) -> None:
        self._expunged += 1


def _halves(uids: frozenset[int]) -> Iterator[tuple[str, frozenset[int]]]:
    ordered = sorted(uids)
    middle = len(ordered) // 2
    for half in (ordered[:middle], ordered[middle:]):
        yield from uid_sets(half)
