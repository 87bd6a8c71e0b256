"""Which listed messages were collected under other keys. Pure; `reidentify` does what is decided
here.

A message has a new key when the server renumbers, or when the account becomes another: host, port,
user name, protocol. What the ledger knows of such messages are orphans: records of folders that are
listed no longer. They are matched one to one, so two identical messages are two messages:

    one orphan and one message with these headers      presumed to be the same: kept, not collected
    several of either, or the orphan has only begun    doubtful: the whole content is fetched and
                                                       compared
    the headers cannot be had by themselves            doubtful
    no orphan has these headers                        new
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from reconciler.collect.ledger_lookup import any_left, each, latest_uid
from reconciler.model.messages import Fingerprint, Folder, Listing
from reconciler.model.outcomes import Entry, MessageState, Orphan

_WHOLE = (MessageState.COLLECTED, MessageState.PRESUMED)
Place = tuple[Folder, str]
"""A message as it is listed now: its folder and its key."""


def match(
    headers: Mapping[Place, str], orphans: Iterable[Orphan], bearers: Mapping[str, int]
) -> dict[Place, Orphan]:
    """The messages that are presumed to be an orphan. `headers`: header digests of listed messages
    that the ledger does not know; `orphans`: all that have one of these; `bearers`: how many
    unknown messages have each, wherever."""
    lost: defaultdict[str, list[Orphan]] = defaultdict(list)
    for orphan in orphans:
        lost[orphan.fingerprint.header].append(orphan)
    return {
        place: lost[header][0]
        for place, header in headers.items()
        if len(lost.get(header, ())) == bearers[header] == 1
        and lost[header][0].entry.state in _WHOLE
    }


def recognise(
    fingerprint: Fingerprint, orphans: Iterable[Orphan], claimed: Collection[int]
) -> Orphan | None:
    """The orphan that is this very message: collected ones first, none that is `claimed` by another
    message."""
    same = [
        orphan
        for orphan in orphans
        if orphan.fingerprint == fingerprint and orphan.number not in claimed
    ]
    return min(same, key=lambda orphan: orphan.entry.state not in _WHOLE, default=None)


def is_unknown(entry: Entry | None) -> bool:
    """Whether a listed message may be one that was collected under another key: nothing of its
    content is known."""
    return entry is None or (entry.state not in (*_WHOLE, MessageState.BEGUN) and not entry.content)


def was_renumbered(listing: Listing, known: Mapping[str, Entry]) -> bool:
    """Whether the server has numbered a folder anew without saying so (hazards I11, P3).

    IMAP: UIDs only grow (RFC 3501, 2.3.1.1), so UIDNEXT never falls to a UID that was, and what is
    listed is either known or newer. POP3: not one message bears the UIDL that it had.
    """
    uids = listing.folder.account.protocol == "imap"
    if not (listing.messages and listing.keys_stable and known):
        return False
    first, last = listing.messages[0], listing.messages[-1]
    latest = latest_uid(known) if uids else 0
    if uids and listing.next_key is not None and int(last.key) < listing.next_key <= latest:
        return True
    if any(entry is not None for _, entry in each(listing.messages, known)) or not any_left(known):
        return False
    return not uids or int(first.key) <= latest
