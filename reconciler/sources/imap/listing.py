"""A folder's messages: UIDs and sizes (RFC 3501, 6.4.8), read line by line, for there may be very many."""

from __future__ import annotations

from reconciler.model.errors import ProtocolViolation
from reconciler.model.messages import Listed
from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.failures import Failures
from reconciler.sources.imap.responses import Completed, Fetched, number

ARRIVING = 1000
"""So many messages may come into a folder between its opening and its listing."""


def selected_validity(dialogue: Dialogue) -> int:
    """The UIDVALIDITY that SELECT has just told; without one, UIDs mean nothing (hazard I10)."""
    validity = dialogue.told_validity()
    if not validity:
        raise ProtocolViolation(f"{dialogue.connection.endpoint}: the server gives a folder no UIDVALIDITY, so that "
                                "its messages cannot be told apart from one session to the next")
    return validity


def selected_count(dialogue: Dialogue) -> int:
    """EXISTS of the SELECT; 0 when it was not told."""
    told = dialogue.untagged("EXISTS")
    return (number(told[-1], 1 << 62) or 0) if told else 0


def selected_next(dialogue: Dialogue) -> int | None:
    """UIDNEXT of the SELECT; None when it was not told (hazard I28)."""
    told = dialogue.untagged("UIDNEXT")
    return (number(told[-1], 1 << 62) or None) if told else None


def list_messages(dialogue: Dialogue, failures: Failures) -> tuple[Listed, ...]:
    """Every message of the selected folder in the order of UIDs, which is the order of arrival.

    The answer alone counts: no UIDNEXT (hazard I28), nothing twice, no impossible UID (hazards I7, I13, I14).
    """
    announced = selected_count(dialogue)
    if not announced:
        return ()
    sizes: dict[int, int | None] = {}
    for response in dialogue.fetch_uids("1:*", "(UID RFC822.SIZE)"):
        match response:
            case Fetched(uid=int(uid)) if uid:
                sizes[uid] = response.size if response.size is not None else sizes.get(uid)
                if len(sizes) > announced + ARRIVING:
                    raise ProtocolViolation(f"{dialogue.connection.endpoint}: the server announced {announced} "
                                            "messages and lists many more")
            case Completed(ok=False):
                raise failures.refused("listing messages", response.text)
    return tuple(Listed(str(uid), sizes[uid]) for uid in sorted(sizes))
