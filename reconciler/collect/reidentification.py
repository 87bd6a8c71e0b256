"""The step between listing and selection that recognises messages collected under other keys.

Pure decisions are in `message_identity`. While nothing was renumbered, the step costs one question
to the ledger, and only in a session that lists unknown messages. Otherwise the headers of all
unknown messages are fetched, whatever the session's limit is: new mail need not wait until a large
mailbox has been attempted. One session fetches `HEADERS` at most.

A message whose headers were fetched is recorded at once as LISTED with their digest, and they are
not fetched again. Nothing is presumed before all headers are known; until then messages that are
attempted are compared by their content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from reconciler.collect.incoming_message import header_digest
from reconciler.collect.known_listing import (
    BLOCK,
    WHOLE,
    KnownListing,
    any_unlisted,
    is_unknown,
    with_entries,
)
from reconciler.collect.message_identity import Place, match, recognise
from reconciler.collect.retry_rules import is_suspect
from reconciler.collect.selection import Attempt
from reconciler.model.interfaces import Ledger
from reconciler.model.messages import Fingerprint, Folder, Listed
from reconciler.model.outcomes import Adoption, Entry, MessageState, Record

HEADERS = 100_000
"""Messages whose headers one session fetches at most."""
HeaderFetch = Callable[[Folder, Sequence[Listed]], Iterable[tuple[Listed, bytes | None]]]
"""Takes messages of a folder; returns their header blocks."""
_TOGETHER = 1000
"""Messages whose headers are fetched and recorded together."""
_NEWEST, _LEFT = 1000, 20
"""`record_remaining` records up to 20 of the 1000 newest messages."""


class Reidentification:
    """Recognises the messages of one session. `recognised` counts those that were collected under
    another key."""

    def __init__(
        self, collector: str, headers: HeaderFetch, ledger: Ledger, now: Callable[[], datetime]
    ) -> None:
        self._collector = collector
        self._fetch_headers = headers
        self._ledger = ledger
        self._now = now
        self._folders: list[Folder] = []
        self._has_orphans = False
        self._headers_fetched = 0
        self._digests: dict[Place, str] = {}
        """Header digests of messages that the ledger has in another state than LISTED."""
        self._orphaned: dict[str, bool] = {}
        """By header digest: whether there are orphans with these headers."""
        self._claimed: set[int] = set()
        """The numbers of the orphans that were recognised."""
        self._keys: dict[Folder, frozenset[str]] = {}
        """The listed keys of folders in which single messages may have new keys."""
        self.recognised = 0

    def recognise_by_headers(
        self, listings: Sequence[KnownListing], check_stop: Callable[[], None]
    ) -> None:
        """Adopt the messages that their headers identify. The headers of all unknown messages are
        needed for that, as two messages may have the same."""
        self._folders = [known.folder for known in listings]
        if not self._is_needed(listings):
            return
        self._has_orphans = True
        for known in listings:
            for block in _blocks(known.unknown()):
                check_stop()
                if self._headers_fetched >= HEADERS:
                    return
                self._record_headers(known, block)
            known.entries = self._ledger.known(self._collector, known.folder)
        if any(known.listing.partial for known in listings):
            return  # a message with the same headers may not have been listed
        others = Counter(self._digests.values())
        for known in listings:
            for block in _blocks(known.unknown()):
                check_stop()
                self._presume(known, block, others)
            known.entries = self._ledger.known(self._collector, known.folder)

    def watch_for_new_uidls(self, listings: Sequence[KnownListing]) -> None:
        """Have new messages compared by content where a collected one is no longer listed.

        Some POP3 servers give a single message another UIDL: after it was read, or when they have
        forgotten the old one. Only for modes that delete nothing: else a new message may equal one
        that was deleted.
        """
        for known in listings:
            listing = known.listing
            if (
                known.folder.account.protocol == "pop3"
                and len(listing.messages) <= BLOCK
                and known.has_unknown
                and any_unlisted(listing.messages, known.entries)
            ):
                self._keys[known.folder] = frozenset(message.key for message in listing.messages)

    def record_remaining(self, known: KnownListing, attempted: Collection[str]) -> None:
        """Record some of the messages that stay in a POP3 maildrop.

        All that is known of it may be deleted without the ledger hearing of that. Then those that
        stay must not be taken for the deleted ones under new UIDLs (`was_renumbered`).
        """
        newest = [
            message
            for message in islice(reversed(known.listing.messages), _NEWEST)
            if message.key not in attempted
        ]
        left = islice(
            (message for message, entry in with_entries(newest, known.entries) if entry is None),
            _LEFT,
        )
        self._ledger.record(
            self._collector,
            known.folder,
            [Record(message.key, MessageState.LISTED, message.size or 0) for message in left],
            self._now(),
        )

    def needs_content(self, folder: Folder, attempt: Attempt) -> bool:
        """Return whether the message can only be identified by its whole content."""
        previous = attempt.previous
        if previous is not None and previous.state is MessageState.PRESUMED:
            return True
        if folder in self._keys and is_unknown(previous):
            return True
        if not self._has_orphans or not is_unknown(previous):
            return False
        header = self._header_digest(folder, attempt.listed.key, previous)
        if header and header not in self._orphaned:
            self._orphaned[header] = bool(
                self._ledger.orphans_with(self._collector, self._folders, [header])
            )
        return not header or self._orphaned[header]

    def recognise_by_content(
        self, folder: Folder, attempt: Attempt, fingerprint: Fingerprint
    ) -> Attempt | Entry:
        """Return the attempt to continue, or the entry of a message that was collected before. Then
        the ledger has the entry under the new key, so the message may be deleted."""
        previous = attempt.previous
        if previous and previous.state is MessageState.PRESUMED:
            return previous if previous.content == fingerprint.content else attempt
        listed = self._keys.get(folder, frozenset())
        known = [other for other in self._folders if other != folder] if listed else self._folders
        orphans = [
            orphan
            for orphan in self._ledger.orphans(
                self._collector, known, [fingerprint.header], fingerprint.content
            )
            if orphan.folder != folder or orphan.entry.key not in listed
        ]
        orphan = recognise(fingerprint, orphans, self._claimed)
        if orphan is None:
            return attempt
        self._claimed.add(orphan.number)
        if orphan.entry.state not in WHOLE:
            return replace(attempt, previous=orphan.entry, origin=orphan)
        state = MessageState.PRESUMED if attempt.listed.ambiguous else MessageState.COLLECTED
        self.adopt(folder, Adoption(orphan, attempt.key, state))
        return orphan.entry

    def adopt(self, folder: Folder, *adoptions: Adoption) -> None:
        """Move these records to the keys that their messages have now."""
        self._ledger.adopt(self._collector, folder, adoptions, self._now())
        self.recognised += len(adoptions)

    def _is_needed(self, listings: Sequence[KnownListing]) -> bool:
        """Return whether there are unknown messages and orphans. The cheaper question is asked
        first."""
        few = sum(len(known.listing.messages) for known in listings) <= BLOCK
        if few and not any(known.has_unknown for known in listings):
            return False
        return self._ledger.orphaned(self._collector, self._folders)

    def _record_headers(
        self, known: KnownListing, block: Sequence[tuple[Listed, Entry | None]]
    ) -> None:
        """Fetch the headers that were not fetched before, and record their digests: the next
        session goes on from there."""
        entries = {message.key: entry for message, entry in block}
        unseen = [
            message
            for message, entry in block
            if not (entry is not None and entry.header) and not is_suspect(entry)
        ]
        self._headers_fetched += len(unseen)
        found: dict[str, str] = {}
        for listed, header in self._fetch_headers(known.listing.folder, unseen) if unseen else ():
            found[listed.key] = (header is not None and header_digest(header)) or ""
        digests = {key: digest for key, digest in found.items() if digest}
        self._ledger.record(
            self._collector,
            known.folder,
            [
                Record(
                    message.key,
                    MessageState.LISTED,
                    message.size or 0,
                    fingerprint=Fingerprint(digest, ""),
                )
                for message in unseen
                if entries[message.key] is None and (digest := digests.get(message.key))
            ],
            self._now(),
        )
        for key, digest in digests.items():
            if entries[key] is not None:
                self._digests[known.folder, key] = digest

    def _presume(
        self,
        known: KnownListing,
        block: Sequence[tuple[Listed, Entry | None]],
        others: Mapping[str, int],
    ) -> None:
        """Adopt the messages of a block that are presumed to be an orphan. `others`: how many
        messages in another state than LISTED have each header digest."""
        headers: dict[Place, str] = {
            (known.folder, message.key): digest
            for message, entry in block
            if (digest := self._header_digest(known.folder, message.key, entry))
        }
        orphans = self._ledger.orphans_with(self._collector, self._folders, headers.values())
        single = [header for header, count in orphans.items() if count == 1]
        if not single:
            return
        listed = self._ledger.listed_with(self._collector, self._folders, single)
        bearers = {header: listed.get(header, 0) + others.get(header, 0) for header in single}
        found = match(
            {place: header for place, header in headers.items() if header in bearers},
            self._ledger.orphans(self._collector, self._folders, single),
            bearers,
        )
        if found:
            self.adopt(
                known.folder,
                *(
                    Adoption(orphan, key, MessageState.PRESUMED)
                    for (_, key), orphan in found.items()
                ),
            )

    def _header_digest(self, folder: Folder, key: str, entry: Entry | None) -> str:
        if entry is not None and entry.header:
            return entry.header
        return self._digests.get((folder, key), "")


def _blocks(
    found: Iterable[tuple[Listed, Entry | None]],
) -> Iterator[list[tuple[Listed, Entry | None]]]:
    rest = iter(found)
    while block := list(islice(rest, _TOGETHER)):
        yield block
