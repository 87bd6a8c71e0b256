"""The step between listing and selection: messages that were collected under other keys are
recognised (`identify`).

It costs nothing while nothing was renumbered: one question to the ledger in a session that lists
unknown messages. Otherwise the headers of all unknown ones are fetched, whatever the session's
limit is, so that new mail need not wait until a large mailbox has been gone through: `LOOKED_AT` in
one session at most. What was looked at is recorded at once as LISTED, with its header's digest, and
not fetched again. As long as not all were looked at, nothing is presumed: those that are attempted
are compared by their content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from reconciler.collect.incoming_message import header_digest
from reconciler.collect.known_listing import BLOCK, KnownListing, any_unlisted, each, is_unknown
from reconciler.collect.message_identity import Place, match, recognise
from reconciler.collect.retry_rules import is_suspect
from reconciler.collect.selection import Attempt
from reconciler.model.interfaces import Ledger
from reconciler.model.messages import Fingerprint, Folder, Listed
from reconciler.model.outcomes import Adoption, Entry, MessageState, Record

_AT_ONCE = 1000
_NEWEST, _LEFT = 1000, 20
LOOKED_AT = 100_000
"""Headers that one session asks for."""
Headers = Callable[[Folder, Sequence[Listed]], Iterable[tuple[Listed, bytes | None]]]


class Reidentification:
    """For one session. `recognised` counts the messages that were collected under another key."""

    def __init__(
        self, collector: str, headers: Headers, ledger: Ledger, now: Callable[[], datetime]
    ) -> None:
        """`headers` are the source's, as far as they can be had."""
        self._collector = collector
        self._fetch_headers = headers
        self._ledger = ledger
        self._now = now
        self._folders: list[Folder] = []
        self._active = False
        self._looked_at = 0
        self._unlisted: dict[Place, str] = {}
        """Header digests of those that the ledger knows as something else than LISTED."""
        self._lost: dict[str, bool] = {}
        """Whether there are orphans with these headers."""
        self._claimed: set[int] = set()
        self._keys: dict[Folder, frozenset[str]] = {}
        """What is listed of folders in which some have new keys, perhaps."""
        self.recognised = 0

    def by_headers(self, places: Sequence[KnownListing], check_stop: Callable[[], None]) -> None:
        """Adopt what can be told by its headers, once those of all unknown messages are known:
        there may be twins."""
        self._folders = [place.folder for place in places]
        if not self._may_be_needed(places):
            return
        self._active = True
        for place in places:
            for block in _blocks(place.unknown()):
                check_stop()
                if self._looked_at >= LOOKED_AT:
                    return
                self._look(place, block)
            place.entries = self._ledger.known(self._collector, place.folder)
        if any(
            place.listing.partial for place in places
        ):  # a twin may be among those that were not listed
            return
        unlisted = Counter(self._unlisted.values())
        for place in places:
            for block in _blocks(place.unknown()):
                check_stop()
                self._presume(place, block, unlisted)
            place.entries = self._ledger.known(self._collector, place.folder)

    def by_what_is_gone(self, places: Sequence[KnownListing]) -> None:
        """Some POP3 servers give a single message another UIDL: when it was read, or when they have
        forgotten it. So where one that was collected is listed no longer, what is new is compared
        with it. Not where mail is deleted: a twin of what we have deleted may be new."""
        for place in places:
            listing = place.listing
            if (
                place.folder.account.protocol == "pop3"
                and listing.keys_stable
                and not listing.partial
                and len(listing.messages) <= BLOCK
                and place.has_unknown
                and any_unlisted(listing.messages, place.entries)
            ):
                self._keys[place.folder] = frozenset(message.key for message in listing.messages)

    def _may_be_needed(self, places: Sequence[KnownListing]) -> bool:
        """Whether anything is unknown, and there are orphans; what is found out faster is asked
        first."""
        few = sum(len(place.listing.messages) for place in places) <= BLOCK
        if few and not any(place.has_unknown for place in places):
            return False
        return self._ledger.orphaned(self._collector, self._folders)

    def _look(self, place: KnownListing, block: Sequence[tuple[Listed, Entry | None]]) -> None:
        """Get the headers that were not seen yet, and record them: the next session goes on from
        there."""
        entries = {message.key: entry for message, entry in block}
        unseen = [
            message
            for message, entry in block
            if not (entry is not None and entry.header) and not is_suspect(entry)
        ]
        self._looked_at += len(unseen)
        found: dict[str, str] = {}
        for listed, header in self._fetch_headers(place.listing.folder, unseen) if unseen else ():
            found[listed.key] = (header is not None and header_digest(header)) or ""
        digests = {key: digest for key, digest in found.items() if digest}
        self._ledger.record(
            self._collector,
            place.folder,
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
                self._unlisted[place.folder, key] = digest

    def _presume(
        self,
        place: KnownListing,
        block: Sequence[tuple[Listed, Entry | None]],
        unlisted: Mapping[str, int],
    ) -> None:
        headers: dict[Place, str] = {
            (place.folder, message.key): digest
            for message, entry in block
            if (digest := self._header(place.folder, message.key, entry))
        }
        lost = self._ledger.orphans_with(self._collector, self._folders, headers.values())
        single = [header for header, count in lost.items() if count == 1]
        if not single:
            return
        listed = self._ledger.listed_with(self._collector, self._folders, single)
        bearers = {header: listed.get(header, 0) + unlisted.get(header, 0) for header in single}
        found = match(
            {where: header for where, header in headers.items() if header in bearers},
            self._ledger.orphans(self._collector, self._folders, single),
            bearers,
        )
        if found:
            self.adopt(
                place.folder,
                *(
                    Adoption(orphan, key, MessageState.PRESUMED)
                    for (_, key), orphan in found.items()
                ),
            )

    def _header(self, folder: Folder, key: str, entry: Entry | None) -> str:
        return (
            entry.header
            if entry is not None and entry.header
            else self._unlisted.get((folder, key), "")
        )

    def remember_left(self, place: KnownListing, attempted: Collection[str]) -> None:
        """By POP3, where all that is known of a maildrop may be deleted without the ledger hearing
        of it: some that stay are recorded, so that they are not taken for the deleted ones under
        new UIDLs (`identify`)."""
        newest = [
            message
            for message in islice(reversed(place.listing.messages), _NEWEST)
            if message.key not in attempted
        ]
        left = islice(
            (message for message, entry in each(newest, place.entries) if entry is None), _LEFT
        )
        self._ledger.record(
            self._collector,
            place.folder,
            [Record(message.key, MessageState.LISTED, message.size or 0) for message in left],
            self._now(),
        )

    def needs_content(self, folder: Folder, attempt: Attempt) -> bool:
        """Whether the whole message must be read before it is known which one it is."""
        if attempt.previous is not None and attempt.previous.state is MessageState.PRESUMED:
            return True
        if attempt.previous is None and folder in self._keys:
            return True
        if not self._active or not is_unknown(attempt.previous):
            return False
        header = self._header(folder, attempt.listed.key, attempt.previous)
        if header and header not in self._lost:
            self._lost[header] = bool(
                self._ledger.orphans_with(self._collector, self._folders, [header])
            )
        return not header or self._lost[header]

    def by_content(
        self, folder: Folder, attempt: Attempt, fingerprint: Fingerprint
    ) -> Attempt | Entry:
        """The attempt as it goes on; or what is known of the message, which was collected before.
        The ledger has that under its new key by now, so that the message may be deleted."""
        if attempt.previous and attempt.previous.state is MessageState.PRESUMED:
            return attempt.previous if attempt.previous.content == fingerprint.content else attempt
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
        if orphan.entry.state not in (MessageState.COLLECTED, MessageState.PRESUMED):
            return replace(attempt, previous=orphan.entry, origin=orphan)
        state = MessageState.PRESUMED if attempt.listed.ambiguous else MessageState.COLLECTED
        self.adopt(folder, Adoption(orphan, attempt.key, state))
        return orphan.entry

    def adopt(self, folder: Folder, *adoptions: Adoption) -> None:
        """These records go on under the keys that their messages have now."""
        self._ledger.adopt(self._collector, folder, adoptions, self._now())
        self.recognised += len(adoptions)


def _blocks(
    found: Iterable[tuple[Listed, Entry | None]],
) -> Iterator[list[tuple[Listed, Entry | None]]]:
    rest = iter(found)
    while block := list(islice(rest, _AT_ONCE)):
        yield block
