"""Delete messages for good: \\Deleted, then UID EXPUNGE (RFC 4315), then a check.

A set that the server refuses because of one message is halved, as long as anything is accepted.
The check asks which of the messages still exist, by SEARCH or FETCH, and the EXPUNGE responses are
counted. Where fewer of them came than messages were deleted, it is not enough that SEARCH does not
name the messages. What stays open is not confirmed, which is no failure: the next session lists
what is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reconciler.model.messages import Deletion
from reconciler.sources.imap.imap_dialogue import ImapDialogue
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.response_reader import UntaggedResponse
from reconciler.sources.imap.uid_search import (
    existing_uids,
    others_deleted,
    others_flagged,
    search_uids,
    uid_sets,
)

_FOREIGN = (
    "the server lacks UIDPLUS, and other messages in the folder are marked as deleted: expunging "
    "would remove those too; ours are marked and left"
)
_BLIND = (
    "the server lacks UIDPLUS, and does not say which messages in the folder are marked as "
    "deleted: expunging might remove others; ours are marked and left"
)
_ALIKE = (_FOREIGN, _BLIND)
"""Reasons that hold for any part of a set, so that halving it is of no use."""
_LEVELS = 2
"""Halvings after which it ends where nothing was accepted: nothing may be deleted there."""
_COMMANDS = 60
"""Sets that one session asks for; the next session goes on."""
_OPEN = "not confirmed: the server does not say whether it still has it after EXPUNGE"


class Deleter:
    """Deletes from the folder that is selected for writing.

    `marked` are the UIDs that this session has marked as deleted in it, over any connection.
    """

    def __init__(
        self,
        dialogue: ImapDialogue,
        failures: ImapRefusals,
        marked: set[int],
        *,
        searches: bool,
        count: Callable[[], int],
    ) -> None:
        """`searches` is false where SEARCH ends the connection. `count` opens the folder anew and
        returns the number of its messages, 0 where it is not known."""
        self._dialogue = dialogue
        self._failures = failures
        self._marked = marked
        self._searches = searches
        self._count = count
        self._expunged = 0
        self.searching = False
        """Whether a SEARCH is under way."""

    def delete(self, uids: Iterable[int]) -> Deletion:
        """Delete these messages; confirmed are those that the server no longer has."""
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
        """Set \\Deleted; return why it was refused, "" where it was not."""
        completed = self._dialogue.run("UID", "STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        return "" if completed.ok else self._failures.shown(completed.text)

    def _expunge(self, uids: str, members: frozenset[int]) -> str:
        """Expunge what was marked; return why it was refused, "" where it was not."""
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
        """Return whether messages bear \\Deleted that this session has not marked."""
        others = None
        if self._searches:
            self.searching = True
            others = others_deleted(self._dialogue, self._marked)
            self.searching = False
        if others is None and (count := self._count()):
            return others_flagged(self._dialogue, self._marked, count)
        return others

    def _hear(self, _: UntaggedResponse) -> None:
        self._expunged += 1


def _halves(uids: frozenset[int]) -> Iterator[tuple[str, frozenset[int]]]:
    ordered = sorted(uids)
    middle = len(ordered) // 2
    for half in (ordered[:middle], ordered[middle:]):
        yield from uid_sets(half)
