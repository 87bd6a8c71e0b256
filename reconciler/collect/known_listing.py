"""A folder's listing with the ledger's entries for its messages. Both may number millions, so the
ledger is read in blocks.

`look_up` also notices a folder that the server has renumbered without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct

from reconciler.model.interfaces import Entries, Ledger
from reconciler.model.messages import Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState

BLOCK = 5000
"""Messages that are looked up at once."""
WHOLE = (MessageState.COLLECTED, MessageState.PRESUMED)
"""States of a message that was collected."""


class KnownListing(Struct):
    """A listing and the ledger's `entries` by key. `folder` is the listed folder as the ledger
    numbers it."""

    listing: Listing
    folder: Folder
    entries: Mapping[str, Entry]
    alarming: bool = False
    """An IMAP server has renumbered the folder without changing its UIDVALIDITY."""

    def __iter__(self) -> Iterator[tuple[Listed, Entry | None]]:
        """Yield every listed message with its ledger entry, or None."""
        return with_entries(self.listing.messages, self.entries)

    def unknown(self) -> Iterator[tuple[Listed, Entry | None]]:
        """Yield the messages that may have been collected under another key."""
        if self.listing.keys_stable:
            for message, entry in self:
                if is_unknown(entry):
                    yield message, entry

    @property
    def has_unknown(self) -> bool:
        return any(True for _ in self.unknown())


def look_up(ledger: Ledger, collector: str, listing: Listing) -> KnownListing:
    """Return the listing with the ledger's entries. After an unannounced renumbering nothing is
    known under the new keys, and all the old records are orphans."""
    folder = ledger.current(collector, listing.folder)
    entries = ledger.known(collector, folder)
    if not listing.partial and was_renumbered(listing, entries):
        alarming = folder.account.protocol == "imap"
        return KnownListing(listing, folder.renumbered(), {}, alarming)
    return KnownListing(listing, folder, entries)


def is_unknown(entry: Entry | None) -> bool:
    """Return whether a listed message may have been collected under another key: nothing of its
    content is known."""
    return entry is None or (entry.state not in (*WHOLE, MessageState.BEGUN) and not entry.content)


def was_renumbered(listing: Listing, known: Mapping[str, Entry]) -> bool:
    """Return whether the server has renumbered a folder without saying so (hazards I11, P3).

    IMAP: UIDs only grow (RFC 3501, 2.3.1.1). So UIDNEXT never falls to a UID that was used, and
    what is listed is either known or newer. POP3: no message has a UIDL that is known.
    """
    uids = listing.folder.account.protocol == "imap"
    if not (listing.messages and listing.keys_stable and known):
        return False
    first, last = listing.messages[0], listing.messages[-1]
    latest = _latest_uid(known) if uids else 0
    if uids and listing.next_key is not None and int(last.key) < listing.next_key <= latest:
        return True
    shares_some = any(entry is not None for _, entry in with_entries(listing.messages, known))
    if shares_some or not _any_on_server(known):
        return False
    return not uids or int(first.key) <= latest


def with_entries(
    messages: Iterable[Listed], known: Mapping[str, Entry]
) -> Iterator[tuple[Listed, Entry | None]]:
    """Yield every message with its ledger entry, or None."""
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


def any_unlisted(messages: Iterable[Listed], known: Mapping[str, Entry]) -> bool:
    """Return whether a message that was collected, and that we did not delete, is listed no longer
    under its key."""
    listed = {
        message.key
        for message, entry in with_entries(messages, known)
        if entry is not None and entry.state in WHOLE and not entry.deleted
    }
    if isinstance(known, Entries):
        return known.more_on_server_than(len(listed))
    return any(
        entry.state in WHOLE and not entry.deleted and key not in listed
        for key, entry in known.items()
    )


def _latest_uid(known: Mapping[str, Entry]) -> int:
    return known.latest_uid() if isinstance(known, Entries) else max(map(int, known))


def _any_on_server(known: Mapping[str, Entry]) -> bool:
    """Return whether anything known may still be on the server; messages of which only the headers
    were seen do not count."""
    if isinstance(known, Entries):
        return known.any_on_server()
    entries = (known[key] for key in known)
    return any(
        not entry.deleted and (entry.state is not MessageState.LISTED or entry.header)
        for entry in entries
    )
