"""Find out which messages exist, by UID SEARCH (RFC 3501, section 6.4.4) and UID FETCH.

Some servers break the connection at a SEARCH that touches a message they cannot read, and some
refuse every SEARCH. So nothing depends on one command alone. The functions return None where the
server does not say.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby

from reconciler.sources.imap.fetch_responses import LARGEST_UID, TaggedCompletion
from reconciler.sources.imap.imap_dialogue import ImapDialogue
from reconciler.sources.imap.response_reader import UntaggedResponse
from reconciler.sources.listing_columns import ascending, in_order

_LINE = 900
"""Octets of a set of UIDs: with it a command stays below the 1000 octets that every server takes
(RFC 2683, section 3.2.1.5)."""
_ARRIVING = 1000
"""Messages that may arrive while the folder is looked at."""
_UID = re.compile(rb"[( ]UID (\d{1,10})(?![^ )])", re.IGNORECASE)
_FLAGS = re.compile(rb"[( ]FLAGS \(([^()]*)\)", re.IGNORECASE)
_EXTENDED = re.compile(
    rb"(?:\(TAG [^()]*\) *)?UID(?: (?:MIN|MAX|COUNT|MODSEQ) \d+)*(?: ALL ([\d:,]+))?(?: .*)?",
    re.IGNORECASE | re.DOTALL,
)
_RANGE = re.compile(rb"(\d{1,10})(?::(\d{1,10}))?")
_NUMBER = re.compile(rb"(?<!\S)[1-9]\d{0,9}(?!\S)")


def existing_uids(dialogue: ImapDialogue, uids: Iterable[int]) -> frozenset[int] | None:
    """Return which of these messages exist; asks FETCH first, for nothing but UIDs."""
    found: set[int] = set()
    for text, members in uid_sets(uids):
        answered = _fetched(dialogue, text, members)
        if answered is None:
            answered = _searched(dialogue, f"UID {text}", members)
        if answered is None:
            return None
        found |= answered
    return frozenset(found)


def search_uids(dialogue: ImapDialogue, uids: Iterable[int]) -> frozenset[int] | None:
    """Return which of these messages exist; asks SEARCH first."""
    found: set[int] = set()
    for text, members in uid_sets(uids):
        answered = _searched(dialogue, f"UID {text}", members)
        if answered is None:
            answered = _fetched(dialogue, text, members)
        if answered is None:
            return None
        found |= answered
    return frozenset(found)


def all_uids(dialogue: ImapDialogue, way: str, most: int) -> Sequence[int] | None:
    """Return every UID of the folder, ascending, each once.

    `way` is "SEARCH" or "FETCH". None where it was refused, or there are more than `most`.
    """
    found = array("I")

    def take(uid: int) -> None:
        if uid and len(found) <= 2 * most:
            found.append(uid)

    if way == "SEARCH":
        answered = _search(dialogue, "ALL", take)
    else:
        answered = False
        for response in dialogue.fetch_uids("1:*", "(UID)"):
            if isinstance(response, TaggedCompletion):
                answered = response.ok
            else:
                take(response.uid or 0)
    if not ascending(found):
        found = array("I", (uid for uid, _ in groupby(uid for uid, _ in in_order(found))))
    return found if answered and len(found) <= most else None


def others_deleted(dialogue: ImapDialogue, uids: Collection[int]) -> bool | None:
    """Return whether messages other than these bear \\Deleted, by SEARCH."""
    others: list[int] = []
    answered = _search(
        dialogue, "DELETED", lambda uid: others.extend([] if others or uid in uids else [uid])
    )
    return bool(others) if answered else None


def others_flagged(dialogue: ImapDialogue, uids: Collection[int], count: int) -> bool | None:
    """Return the same by FETCH of all flags.

    The folder has `count` messages. None where the flags of one of them do not come.
    """
    bearers = array("I", bytes(4 * (count + _ARRIVING + 1)))
    """UIDs by message number."""
    deleted: set[int] = set()

    def hear(response: UntaggedResponse) -> None:
        uid, flags = _UID.search(response.text), _FLAGS.search(response.text)
        if (
            uid
            and flags
            and response.number
            and response.number < len(bearers)
            and int(uid[1]) <= LARGEST_UID
        ):
            bearers[response.number] = int(uid[1])
            bears = b"\\DELETED" in flags[1].upper().split() and int(uid[1]) not in uids
            if not bears:
                deleted.discard(int(uid[1]))
            elif len(deleted) < _ARRIVING:
                deleted.add(int(uid[1]))

    answered = dialogue.run("UID", "FETCH", "1:*", "(UID FLAGS)", hear={"FETCH": hear})
    last = max((number for number, uid in enumerate(bearers) if uid), default=0)
    if not answered.ok or last < count or not ascending(bearers[: last + 1]):
        return None
    return bool(deleted)


def _fetched(dialogue: ImapDialogue, uids: str, members: Collection[int]) -> set[int] | None:
    found: set[int] = set()
    for response in dialogue.fetch_uids(uids, "(UID)"):
        if isinstance(response, TaggedCompletion):
            if not response.ok:
                return None
        elif (uid := response.uid) is not None and uid in members:
            found.add(uid)
    return found


def _searched(dialogue: ImapDialogue, criteria: str, members: Collection[int]) -> set[int] | None:
    found: set[int] = set()
    return found if _search(dialogue, criteria, found.add, among=members) else None


def _search(
    dialogue: ImapDialogue,
    criteria: str,
    take: Callable[[int], object],
    among: Collection[int] = range(LARGEST_UID + 1),
) -> bool:
    """Give each UID that SEARCH names to `take`; return whether there was an answer.

    What cannot be a UID, or is not `among` those asked for, is dropped (hazard I14). No answer is
    not the same as one that names no message.
    """
    heard = False

    def hear(response: UntaggedResponse) -> None:
        nonlocal heard
        heard = True
        for word in _NUMBER.finditer(response.text):
            if (uid := int(word[0])) in among:
                take(uid)

    def hear_extended(response: UntaggedResponse) -> None:
        """Hear ESEARCH (RFC 4731, section 3.1), the answer of RFC 9051 and of some others."""
        nonlocal heard
        found = _EXTENDED.fullmatch(response.text)
        heard = heard or found is not None
        for first, last in _RANGE.findall(found[1] or b"") if found else ():
            ends = sorted((int(first), int(last or first)))
            for uid in filter(among.__contains__, range(ends[0], min(ends[1], LARGEST_UID) + 1)):
                take(uid)

    return (
        dialogue.run("UID", "SEARCH", criteria, hear={"SEARCH": hear, "ESEARCH": hear_extended}).ok
        and heard
    )


def ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of consecutive numbers, ascending."""
    first = last = 0
    for uid in sorted(set(uids)):
        if uid == last + 1 and first:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last


def uid_sets(uids: Iterable[int]) -> Iterator[tuple[str, frozenset[int]]]:
    """Yield sets such as 1:3,7 (RFC 3501, section 9: sequence-set) and the UIDs in each.

    Each fits into one command.
    """
    terms: list[str] = []
    members: set[int] = set()
    length = 0
    for first, last in ranges(uids):
        term = str(first) if first == last else f"{first}:{last}"
        if length + len(term) > _LINE:
            yield ",".join(terms), frozenset(members)
            terms, members, length = [], set(), 0
        terms.append(term)
        members.update(range(first, last + 1))
        length += len(term) + 1
    if terms:
        yield ",".join(terms), frozenset(members)
