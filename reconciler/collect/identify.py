"""Which listed messages were collected under other keys. Pure; `reidentify` does what is decided here.

A message has a new key when the server renumbers, or when the account becomes another: host, port, user name, protocol.
What the ledger knows of such messages are orphans: records of folders that are listed no longer. They are matched one
to one, so two identical messages are two messages:

    one orphan and one message with these headers      presumed to be the same: kept, not collected
    several of either, or the orphan has only begun    doubtful: the whole content is fetched and compared
    the headers cannot be had by themselves            doubtful
    no orphan has these headers                        new
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from reconciler.model.messages import Fingerprint, Folder, Listing
from reconciler.model.outcomes import Entry, MessageState, Orphan

_WHOLE = (MessageState.COLLECTED, MessageState.PRESUMED)
Place = tuple[Folder, str]
"""A message as it is listed now: its folder and its key."""


class Matches(Struct, frozen=True):
    presumed: tuple[tuple[Place, Orphan], ...]
    doubtful: frozenset[Place]


def match(headers: Mapping[Place, str | None], orphans: Iterable[Orphan]) -> Matches:
    """`headers`: the header digest of every listed message that the ledger does not know; None where it could not be
    had. `orphans`: at least those that have one of these digests."""
    lost: defaultdict[str, list[Orphan]] = defaultdict(list)
    for orphan in orphans:
        lost[orphan.fingerprint.header].append(orphan)
    found: defaultdict[str, list[Place]] = defaultdict(list)
    doubtful = {place for place, header in headers.items() if header is None}
    for place, header in headers.items():
        if header is not None and header in lost:
            found[header].append(place)
    presumed = []
    for header, places in found.items():
        if len(places) == len(lost[header]) == 1 and lost[header][0].entry.state in _WHOLE:
            presumed.append((places[0], lost[header][0]))
        else:
            doubtful.update(places)
    return Matches(tuple(presumed), frozenset(doubtful))


def recognise(fingerprint: Fingerprint, orphans: Iterable[Orphan], claimed: Collection[int]) -> Orphan | None:
    """The orphan that is this very message: collected ones first, none that is `claimed` by another message."""
    same = [orphan for orphan in orphans if orphan.fingerprint == fingerprint and orphan.number not in claimed]
    return min(same, key=lambda orphan: orphan.entry.state not in _WHOLE, default=None)


def is_unknown(entry: Entry | None) -> bool:
    """Whether a listed message may be one that was collected under another key: nothing of its content is known."""
    return entry is None or (entry.state not in (*_WHOLE, MessageState.BEGUN) and not entry.content)


def was_renumbered(listing: Listing, known: Mapping[str, Entry]) -> bool:
    """Whether the server has numbered a folder anew without saying so (hazards I11, P3).

    IMAP: UIDs only grow (RFC 3501, 2.3.1.1), so UIDNEXT never falls to a UID that was, and what is listed is either
    known or newer. POP3: not one message bears the UIDL that it had.
    """
    uids = listing.folder.account.protocol == "imap"
    if not (listing.messages and known and listing.keys_stable):
        return False
    if uids and listing.next_key is not None:
        last_listed, last_known = int(listing.messages[-1].key), max(map(int, known))
        if last_listed < listing.next_key <= last_known:
            return True
    if any(message.key in known for message in listing.messages) or all(known[key].deleted for key in known):
        return False
    return not uids or int(listing.messages[0].key) <= max(map(int, known))
