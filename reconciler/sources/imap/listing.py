"""A folder's messages: UIDs and sizes (RFC 3501, 6.4.8), read line by line, for there may be very many."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.errors import FolderFailed, ProtocolViolation
from reconciler.model.messages import Listed
from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.responses import Completed, Fetched, number

ARRIVING = 1000
"""So many messages may come into a folder between its opening and its listing."""


def selected_validity(dialogue: Dialogue, name: str) -> int:
    """The UIDVALIDITY that SELECT has just told; without one, UIDs mean nothing (hazard I10)."""
    validity = dialogue.told_validity()
    if not validity:
        raise FolderFailed(f'{dialogue.connection.endpoint}: the server gives the folder "{name}" no UIDVALIDITY, so '
                           "that its messages cannot be told apart from one session to the next")
    return validity


def selected_count(dialogue: Dialogue) -> int:
    """EXISTS of the SELECT; 0 when it was not told."""
    told = dialogue.untagged("EXISTS")
    return (number(told[-1], 1 << 62) or 0) if told else 0


def selected_next(dialogue: Dialogue) -> int | None:
    """UIDNEXT of the SELECT; None when it was not told (hazard I28)."""
    told = dialogue.untagged("UIDNEXT")
    return (number(told[-1], 1 << 62) or None) if told else None


class Found(Struct, frozen=True):
    """The messages of a folder; `broken_off`: the refusal with which the server ended the listing, "" when it did
    not."""

    messages: tuple[Listed, ...]
    broken_off: str = ""


def list_messages(dialogue: Dialogue) -> Found:
    """Every message of the selected folder in the order of UIDs, which is the order of arrival.

    The answer alone counts: no UIDNEXT (hazard I28), nothing twice, no impossible UID (hazards I7, I13, I14).
    """
    announced = selected_count(dialogue)
    if not announced:
        return Found(())
    sizes: dict[int, int | None] = {}
    broken_off = ""
    for response in dialogue.fetch_uids("1:*", "(UID RFC822.SIZE)"):
        match response:
            case Fetched(uid=int(uid)) if uid:
                sizes[uid] = response.size if response.size is not None else sizes.get(uid)
                if len(sizes) > announced + ARRIVING:
                    raise ProtocolViolation(f"{dialogue.connection.endpoint}: the server announced {announced} "
                                            "messages and lists many more")
            case Completed(ok=False):
                broken_off = response.text or response.status
    return Found(tuple(Listed(str(uid), sizes[uid]) for uid in sorted(sizes)), broken_off)
