"""Which of the listed messages a session attempts, and what is said of the others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.ledger_lookup import each
from reconciler.collect.suspects import is_suspect
from reconciler.model.messages import Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState, Orphan

COLLECTED_BEFORE = "collected-before"
TOO_LARGE = "too-large"
VANISHED = "vanished"
ROUND_COUNT = 5000
LOOKED_AT = 20_000
"""New messages of a folder among which those of a session are chosen."""
UNLIMITED = 100_000
"""Attempts in one folder and session at most, where there is no limit; what is left is the next
session's."""
DELETED = 100_000
"""So many that were collected before are deleted from a folder in one session; the next one goes
on."""
WITNESSES = 1000
"""Where nothing is deleted, so many of those collected before are kept in mind, to be asked for
again where nothing else comes (`Session._gives`)."""
ROUND_OCTETS = 1 << 30
_UNKNOWN_SIZE = 64 << 10
_RETRIED = (MessageState.FAILED, MessageState.UNFETCHED, MessageState.PAUSED)
_WHOLE = (MessageState.COLLECTED, MessageState.PRESUMED)


class Attempt(Struct, frozen=True):
    """A message to be fetched. `previous` is what the ledger knows of it, if it knows anything.
    `identity` is given where the server has no lasting key for it, `origin` where its delivery has
    begun under another key."""

    listed: Listed
    previous: Entry | None = None
    identity: str = ""
    origin: Orphan | None = None

    @property
    def key(self) -> str:
        """By which the ledger knows the message."""
        return self.identity or self.listed.key

    @property
    def occurrence(self) -> int:
        if self.previous is None:
            return 0
        return self.previous.occurrence + (self.previous.state in _WHOLE)

    @property
    def served(self) -> frozenset[str]:
        """The recipients who have this very message already."""
        if self.previous is None or self.previous.state in _WHOLE:
            return frozenset()
        return self.previous.delivered


class FolderWork(Struct, frozen=True):
    """What is to be done in one folder: `delete` was collected before and only has to go.
    `suspects` are attempts, too, each to be made by itself after all others. `collected`: what was
    before, to be kept or not, or as much of it as one session looks at."""

    listing: Listing
    attempts: tuple[Attempt, ...]
    delete: tuple[Listed, ...]
    suspects: tuple[Attempt, ...] = ()
    collected: Sequence[Listed] = ()

    @property
    def folder(self) -> Folder:
        return self.listing.folder

    def chosen(self) -> FolderWork:
        """Without the messages that were listed, of which there may be millions."""
        return replace(self, listing=replace(self.listing, messages=()))


class Selection(Struct, frozen=True):
    """`listed = attempts + skipped + parked + left`, each counted over every folder."""

    folders: tuple[FolderWork, ...]
    listed: int
    skipped: Counter[str]
    parked: int
    left: int
    paused: int = 0
    """Of those parked, how many are so for a while only."""

    @property
    def attempts(self) -> int:
        return sum(len(work.attempts) + len(work.suspects) for work in self.folders)


class _Sorted(Struct):
    """A folder's messages by what the ledger knows of them; each list is oldest first. What was
    parked and is to be tried again (no attempts) counts as new."""

    new: list[Attempt] = field(default_factory=list)
    retry: list[Attempt] = field(default_factory=list)
    collected: list[Listed] = field(default_factory=list)
    presumed: list[Attempt] = field(default_factory=list)
    """Collected too, going by the headers: to be deleted, once the content was compared."""
    kept: int = 0
    """Collected too, and not to be deleted now: doubted (`Arrival.doubt`), presumed and the mode
    deletes nothing, or more than one session deletes."""
    too_large: int = 0
    parked: int = 0
    paused: int = 0
    more: int = 0
    """New ones beyond those that are looked at: there may be millions."""

    def add_whole(
        self, message: Listed, entry: Entry, max_size: int, keep: int, *, deletes: bool
    ) -> None:
        """One that is collected, or presumed so; `keep`: of how many more is known than their
        number."""
        if entry.state is MessageState.COLLECTED:
            if entry.reason or len(self.collected) >= keep:
                self.kept += 1
            else:
                self.collected.append(message)
        elif entry.reason or not deletes:
            self.kept += 1
        elif message.size is not None and message.size > max_size:
            self.too_large += 1
        else:
            self.presumed.append(Attempt(message, entry))

    def add_new(self, message: Listed, entry: Entry | None, most: int) -> None:
        listed = entry is None or entry.state is MessageState.LISTED
        if not listed or len(self.new) < most:
            self.new.append(Attempt(message, entry))
        else:
            self.more += 1


def never(_: Entry) -> bool:
    return False


def select(
    listings: Sequence[tuple[Listing, Mapping[str, Entry]]],
    *,
    deletes: bool,
    limit: int,
    max_size: int,
    due: Callable[[Entry], bool] = never,
) -> Selection:
    """Deal out `limit` attempts (0: no limit): first what was never tried, oldest first, with up to
    a tenth kept for retries; what remains goes to those that have to be compared before they are
    deleted. What the ledger has, is too large or parked takes no part in the limit. A suspect
    counts as never tried until it has failed by itself. `due`: whether a paused message's pause is
    over."""
    most = max(2 * limit, LOOKED_AT) if limit else UNLIMITED
    folders = [
        (listing, _sort(listing, known, max_size, due, deletes=deletes, most=most))
        for listing, known in listings
    ]
    for _, messages in folders:
        messages.new = _mixed(messages.new, limit)
    new, retries = shares(
        sum(len(s.new) for _, s in folders), sum(len(s.retry) for _, s in folders), limit
    )
    presumed = limit - new - retries if limit else sum(len(s.presumed) for _, s in folders)
    works, left = [], 0
    for listing, messages in folders:
        chosen, again, compared = (
            messages.new[:new],
            messages.retry[:retries],
            messages.presumed[:presumed],
        )
        new, retries, presumed = new - len(chosen), retries - len(again), presumed - len(compared)
        messages.kept += len(messages.presumed) - len(compared)
        left += len(messages.new) + messages.more + len(messages.retry) - len(chosen) - len(again)
        ordinary, suspects = _apart([*chosen, *again])
        works.append(
            FolderWork(
                listing,
                (*ordinary, *compared),
                tuple(messages.collected) if deletes else (),
                tuple(suspects),
                messages.collected,
            )
        )
    skipped = Counter(
        {
            COLLECTED_BEFORE: sum(len(s.collected) + s.kept for _, s in folders),
            TOO_LARGE: sum(s.too_large for _, s in folders),
        }
    )
    return Selection(
        tuple(works),
        sum(len(listing.messages) for listing, _ in folders),
        +skipped,
        sum(s.parked for _, s in folders),
        left,
        sum(s.paused for _, s in folders),
    )


def shares(new: int, retries: int, limit: int) -> tuple[int, int]:
    """How many of the never tried, and of the retries, a session attempts."""
    if not limit:
        return new, retries
    kept = min(retries, limit // 10 if new >= limit else max(1, limit // 10))
    return min(new, limit - kept), kept


def _mixed(new: list[Attempt], limit: int) -> list[Attempt]:
    """Suspects take half of the limit at most, where there are others: mail goes on behind them."""
    if not limit or len(new) <= limit:
        return new
    suspects = _apart(new)[1]
    late = {attempt.listed.key for attempt in suspects[max(1, limit // 2) :]}
    return (
        new
        if not late
        else [
            attempt
            for part in (False, True)
            for attempt in new
            if (attempt.listed.key in late) is part
        ]
    )


def _apart(attempts: list[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
    """The others, and the suspects."""
    suspects = [attempt for attempt in attempts if is_suspect(attempt.previous)]
    return (
        [attempt for attempt in attempts if not is_suspect(attempt.previous)]
        if suspects
        else attempts
    ), suspects


def _sort(
    listing: Listing,
    known: Mapping[str, Entry],
    max_size: int,
    due: Callable[[Entry], bool],
    *,
    deletes: bool,
    most: int,
) -> _Sorted:
    found = _Sorted()
    keep = DELETED if deletes else WITNESSES
    for message, entry in each(listing.messages, known):
        if (
            entry is not None
            and entry.state in _WHOLE
            and not (entry.state is MessageState.COLLECTED and _reused(listing, entry))
        ):
            found.add_whole(message, entry, max_size, keep, deletes=deletes)
        elif entry is not None and entry.state is MessageState.PARKED:
            found.parked += 1
        elif (
            entry is not None
            and (entry.state is MessageState.PAUSED or entry.wait is not None)
            and not due(entry)
        ):
            found.parked += 1
            found.paused += 1
        elif message.size is not None and message.size > max_size:
            found.too_large += 1
        elif entry is not None and entry.state in _RETRIED and entry.attempts:
            found.retry.append(Attempt(message, entry))
        else:
            found.add_new(message, entry, most)
    return found


def _reused(listing: Listing, entry: Entry) -> bool:
    """A UIDL that is listed again after its deletion was confirmed may stand for another message,
    so it is looked into; a UID never does (RFC 3501, 2.3.1.1)."""
    return entry.deleted and listing.folder.account.protocol == "pop3"


def rounds(attempts: Iterable[Attempt]) -> Iterator[list[Attempt]]:
    """Cut into rounds of at most `ROUND_COUNT` messages and, unless one alone is larger,
    `ROUND_OCTETS`: after each one what was collected is deleted, so that a session that is cut
    short leaves little to be deleted by the next."""
    chosen: list[Attempt] = []
    octets = 0
    for attempt in attempts:
        size = _UNKNOWN_SIZE if attempt.listed.size is None else attempt.listed.size
        if chosen and (len(chosen) == ROUND_COUNT or octets + size > ROUND_OCTETS):
            yield chosen
            chosen, octets = [], 0
        chosen.append(attempt)
        octets += size
    if chosen:
        yield chosen
