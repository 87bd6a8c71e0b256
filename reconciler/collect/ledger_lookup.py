"""What the ledger knows of the messages of a listing, looked through in blocks: there may be
millions of either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from reconciler.model.interfaces import Entries
from reconciler.model.messages import Listed
from reconciler.model.outcomes import Entry, MessageState

BLOCK = 5000


def each(
    messages: Iterable[Listed], known: Mapping[str, Entry]
) -> Iterator[tuple[Listed, Entry | None]]:
    """Every message with what is known of it."""
    if not isinstance(known, Entries):
        for message in messages:
            yield message, known.get(message.key)
        return
    rest = iter(messages)
    while block := list(islice(rest, BLOCK)):
        found = known.of([message.key for message in block])
        if not found:
            for message in block:
                yield message, None
            continue
        for message in block:
            yield message, found.get(message.key)


def latest_uid(known: Mapping[str, Entry]) -> int:
    """Of IMAP: the greatest that is known."""
    return known.latest_uid() if isinstance(known, Entries) else max(map(int, known))


def any_unlisted(messages: Iterable[Listed], known: Mapping[str, Entry]) -> bool:
    """Whether messages that were collected, and not deleted by us, are listed no longer under their
    keys."""
    whole = (MessageState.COLLECTED, MessageState.PRESUMED)
    listed = {
        message.key
        for message, entry in each(messages, known)
        if entry is not None and entry.state in whole and not entry.deleted
    }
    if isinstance(known, Entries):
        return known.more_left_than(len(listed))
    return any(
        entry.state in whole and not entry.deleted and key not in listed
        for key, entry in known.items()
    )


def any_left(known: Mapping[str, Entry]) -> bool:
    """Whether anything that is known may still be on the server; not what was only seen there."""
    if isinstance(known, Entries):
        return known.any_left()
    entries = (known[key] for key in known)
    return any(
        not entry.deleted and (entry.state is not MessageState.LISTED or entry.header)
        for entry in entries
    )
