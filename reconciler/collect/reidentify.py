"""The step between listing and selection: messages that were collected under other keys are recognised (`identify`).

It costs nothing while nothing was renumbered: one question to the ledger in a session that lists unknown messages.
Otherwise the headers of all unknown ones are fetched, whatever the session's limit is, so that new mail need not wait
until a large mailbox has been gone through. What was looked at and is left for a later session is recorded as LISTED,
with its header's digest, and not fetched again.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.collect.identify import Place, is_unknown, match, recognise, was_renumbered
from reconciler.collect.incoming import header_digest
from reconciler.collect.selection import Attempt, FolderWork
from reconciler.collect.suspects import is_suspect
from reconciler.model.interfaces import Ledger
from reconciler.model.messages import Fingerprint, Folder, Listed, Listing
from reconciler.model.outcomes import Adoption, Entry, MessageState, Record

_AT_ONCE = 1000
Headers = Callable[[Folder, Sequence[Listed]], Iterable[tuple[Listed, bytes | None]]]


class Known(Struct):
    """What the ledger knows of a listing. `folder` is the listed one as the ledger numbers it."""

    listing: Listing
    folder: Folder
    entries: Mapping[str, Entry]
    alarming: bool = False
    """An IMAP server has numbered it anew, and did not say so."""

    @property
    def has_unknown(self) -> bool:
        return self.listing.keys_stable and any(
            is_unknown(self.entries.get(message.key)) for message in self.listing.messages)

    @property
    def unknown(self) -> list[Listed]:
        if not self.listing.keys_stable:
            return []
        return [message for message in self.listing.messages if is_unknown(self.entries.get(message.key))]


def look_up(ledger: Ledger, collector: str, listing: Listing) -> Known:
    """After an unannounced renumbering nothing is known under the new keys, and all the old records are orphans."""
    folder = ledger.current(collector, listing.folder)
    entries = ledger.known(collector, folder)
    if not listing.partial and was_renumbered(listing, entries):
        return Known(listing, folder.renumbered(), {}, alarming=folder.account.protocol == "imap")
    return Known(listing, folder, entries)


class Reidentification:
    """For one session. `recognised` counts the messages that were collected under another key."""

    def __init__(self, collector: str, headers: Headers, ledger: Ledger, now: Callable[[], datetime]) -> None:
        """`headers` are the source's, as far as they can be had."""
        self._collector = collector
        self._fetch_headers = headers
        self._ledger = ledger
        self._now = now
        self._folders: list[Folder] = []
        self._headers: dict[Place, str | None] = {}
        self._doubtful: frozenset[Place] = frozenset()
        self._claimed: set[int] = set()
        self.recognised = 0

    def by_headers(self, places: Sequence[Known], check_stop: Callable[[], None]) -> None:
        """Adopt what can be told by its headers, and bear in mind what can not."""
        self._folders = [place.folder for place in places]
        if not any(place.has_unknown for place in places) or not self._ledger.orphaned(self._collector, self._folders):
            return
        for place in places:
            self._look(place, place.unknown, check_stop)
        digests = {digest for digest in self._headers.values() if digest}
        matches = match(self._headers, self._ledger.orphans(self._collector, self._folders, digests))
        presumed = matches.presumed
        self._doubtful = matches.doubtful
        if any(place.listing.partial for place in places):  # a twin may be among those that were not listed
            self._doubtful |= {message for message, _ in presumed}
            presumed = ()
        adoptions = [(folder, Adoption(orphan, key, MessageState.PRESUMED)) for (folder, key), orphan in presumed]
        for place in places:
            self._presume(place, [adoption for folder, adoption in adoptions if folder == place.folder])

    def _look(self, place: Known, messages: Sequence[Listed], check_stop: Callable[[], None]) -> None:
        seen = {message.key: entry.header for message in messages if (entry := place.entries.get(message.key))}
        self._headers |= {(place.folder, message.key): seen.get(message.key) or None for message in messages}
        unseen = [message for message in messages
                  if not seen.get(message.key) and not is_suspect(place.entries.get(message.key))]
        for start in range(0, len(unseen), _AT_ONCE):
            check_stop()
            for listed, header in self._fetch_headers(place.listing.folder, unseen[start:start + _AT_ONCE]):
                self._headers[place.folder, listed.key] = None if header is None else header_digest(header)

    def _presume(self, place: Known, adoptions: Sequence[Adoption]) -> None:
        if not adoptions:
            return
        self.adopt(place.folder, *adoptions)
        place.entries = ChainMap({adoption.key: replace(adoption.orphan.entry, key=adoption.key, occurrence=0,
                                                        state=MessageState.PRESUMED) for adoption in adoptions},
                                 dict(place.entries))

    def remember(self, places: Sequence[Known], works: Iterable[FolderWork]) -> None:
        """Record what was looked at and is not attempted in this session."""
        attempted = {(work.folder, attempt.listed.key) for work in works
                     for attempt in (*work.attempts, *work.suspects)}
        for place in places:
            left = [Record(message.key, MessageState.LISTED, message.size or 0, fingerprint=Fingerprint(digest, ""))
                    for message in place.listing.messages
                    if (digest := self._headers.get((place.folder, message.key)))
                    and message.key not in place.entries and (place.listing.folder, message.key) not in attempted]
            self._ledger.record(self._collector, place.folder, left, self._now())

    def needs_content(self, folder: Folder, attempt: Attempt) -> bool:
        """Whether the whole message must be read before it is known which one it is."""
        presumed = attempt.previous is not None and attempt.previous.state is MessageState.PRESUMED
        return presumed or (folder, attempt.listed.key) in self._doubtful

    def by_content(self, folder: Folder, attempt: Attempt, fingerprint: Fingerprint) -> Attempt | Entry:
        """The attempt as it goes on; or what is known of the message, which was collected before. The ledger has that
        under its new key by now, so that the message may be deleted."""
        if attempt.previous and attempt.previous.state is MessageState.PRESUMED:
            return attempt.previous if attempt.previous.content == fingerprint.content else attempt
        orphans = self._ledger.orphans(self._collector, self._folders, [fingerprint.header])
        orphan = recognise(fingerprint, orphans, self._claimed)
        if orphan is None:
            return attempt
        self._claimed.add(orphan.number)
        if orphan.entry.state not in (MessageState.COLLECTED, MessageState.PRESUMED):
            return replace(attempt, previous=orphan.entry, origin=orphan)
        state = MessageState.PRESUMED if attempt.listed.ambiguous else MessageState.COLLECTED
        self.adopt(folder, Adoption(orphan, attempt.key, state))
        return orphan.entry

    def adopt(self, folder: Folder, *adoptions: Adoption) -> None:
        """These records go on under the keys that their messages have now."""
        self._ledger.adopt(self._collector, folder, adoptions, self._now())
        self.recognised += len(adoptions)
