"""Select the listed messages that a session attempts, and count the others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.known_listing import WHOLE, KnownListing
from reconciler.collect.retry_rules import is_suspect
from reconciler.model.messages import Folder, Listed, Listing
from reconciler.model.outcomes import Entry, MessageState, Orphan

COLLECTED_BEFORE = "collected-before"
TOO_LARGE = "too-large"
VANISHED = "vanished"
ROUND_COUNT = 5000
ROUND_OCTETS = 1 << 30
LOOKED_AT = 20_000
"""New messages of a folder among which those of a session are chosen."""
UNLIMITED = 100_000
"""Attempts in one folder and session, where there is no limit; the rest is left for the next
session."""
DELETED = 100_000
"""Messages collected before that one session deletes from a folder; the next one goes on."""
PROBE_CANDIDATES = 1000
"""Where nothing is deleted: messages collected before that may be asked for again
(`collect.server_probe`)."""
_UNKNOWN_SIZE = 64 << 10
_RETRIED = (MessageState.FAILED, MessageState.UNFETCHED, MessageState.PAUSED)


class Attempt(Struct, frozen=True):
    """A message to be fetched. `previous` is what the ledger knows of it, if anything.
    `content_key` is set where the server gives no lasting key, `origin` where the delivery began
    under another key."""

    listed: Listed
    previous: Entry | None = None
    content_key: str = ""
    origin: Orphan | None = None

    @property
    def key(self) -> str:
        """The ledger's key of the message."""
        return self.content_key or self.listed.key

    @property
    def number(self) -> int:
        """Which attempt at this message it is, from 1."""
        return 1 + (self.previous.attempts if self.previous else 0)

    @property
    def is_presumed(self) -> bool:
        """Collected before, judging by the headers; to be compared before it is deleted."""
        return self.previous is not None and self.previous.state is MessageState.PRESUMED

    @property
    def occurrence(self) -> int:
        if self.previous is None:
            return 0
        return self.previous.occurrence + (self.previous.state in WHOLE)

    @property
    def served(self) -> frozenset[str]:
        """The recipients who already have this message."""
        if self.previous is None or self.previous.state in WHOLE:
            return frozenset()
        return self.previous.delivered


class FolderWork(Struct, frozen=True):
    """The work in one folder, whose number in the ledger is `ledger_folder`. `attempts` come first.
    Messages in `delete` were collected before and only have to be deleted. `suspects` are attempts
    as well; each is asked for alone, after all others. `collected` has what was collected before,
    deleted or not, as far as one session looks at it."""

    listing: Listing
    ledger_folder: Folder
    attempts: tuple[Attempt, ...]
    delete: tuple[Listed, ...]
    suspects: tuple[Attempt, ...] = ()
    collected: Sequence[Listed] = ()

    @property
    def folder(self) -> Folder:
        """The folder as the source knows it."""
        return self.listing.folder

    def without_listing(self) -> FolderWork:
        """Return the work without the listed messages, of which there may be millions."""
        return replace(self, listing=replace(self.listing, messages=()))


class Selection(Struct, frozen=True):
    """`listed = attempts + skipped + parked + left`, each counted over every folder."""

    folders: tuple[FolderWork, ...]
    listed: int
    skipped: Counter[str]
    parked: int
    left: int
    paused: int
    """How many of the parked messages are only paused."""

    @property
    def attempts(self) -> int:
        return sum(len(work.attempts) + len(work.suspects) for work in self.folders)


def never(_: Entry) -> bool:
    return False


def select(
    listings: Sequence[KnownListing],
    *,
    deletes: bool,
    limit: int,
    max_size: int,
    due: Callable[[Entry], bool] = never,
) -> Selection:
    """Choose up to `limit` attempts (0: no limit).

    Messages that were never tried come first, oldest first; up to a tenth is kept for retries. What
    remains goes to messages that have to be compared before they are deleted. What the ledger has,
    is too large or is parked does not count towards the limit. A suspect counts as never tried
    until it has failed alone. `due` says whether a paused message may be tried again.
    """
    most = max(2 * limit, LOOKED_AT) if limit else UNLIMITED
    folders = [_sort(known, max_size, due, deletes=deletes, most=most) for known in listings]
    for messages in folders:
        messages.new = _suspects_to_half(messages.new, limit)
    works, left = _share_out(folders, limit, deletes=deletes)
    skipped = Counter(
        {
            COLLECTED_BEFORE: sum(len(each.collected) + each.kept for each in folders),
            TOO_LARGE: sum(each.too_large for each in folders),
        }
    )
    return Selection(
        works,
        sum(len(known.listing.messages) for known in listings),
        +skipped,
        sum(each.parked for each in folders),
        left,
        sum(each.paused for each in folders),
    )


def _share_out(
    folders: Sequence[_Sorted], limit: int, *, deletes: bool
) -> tuple[tuple[FolderWork, ...], int]:
    """Return the work in each folder, and how many messages are left over. What has to be compared,
    and is not in this session, counts as kept."""
    new, retries = shares(
        sum(len(each.new) for each in folders), sum(len(each.retry) for each in folders), limit
    )
    presumed = limit - new - retries if limit else sum(len(each.presumed) for each in folders)
    works, left = [], 0
    for each in folders:
        chosen, again, compared = each.new[:new], each.retry[:retries], each.presumed[:presumed]
        new, retries, presumed = new - len(chosen), retries - len(again), presumed - len(compared)
        each.kept += len(each.presumed) - len(compared)
        left += len(each.new) + each.more + len(each.retry) - len(chosen) - len(again)
        ordinary, suspects = _split_suspects([*chosen, *again])
        works.append(
            FolderWork(
                each.known.listing,
                each.known.folder,
                (*ordinary, *compared),
                tuple(each.collected) if deletes else (),
                tuple(suspects),
                each.collected,
            )
        )
    return tuple(works), left


def shares(new: int, retries: int, limit: int) -> tuple[int, int]:
    """Return how many new messages, and how many retries, a session attempts."""
    if not limit:
        return new, retries
    kept = min(retries, limit // 10 if new >= limit else max(1, limit // 10))
    return min(new, limit - kept), kept


def rounds(attempts: Iterable[Attempt]) -> Iterator[list[Attempt]]:
    """Cut the attempts into rounds of at most `ROUND_COUNT` messages and, unless one alone is
    larger, `ROUND_OCTETS`.

    Each round ends with the deletion of its collected messages. So an interrupted session leaves
    few deletions to the next.
    """
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


class _Sorted(Struct):
    """A folder's messages by what the ledger knows of them; each list is oldest first. A parked
    message that is to be tried again (no attempts) counts as new."""

    known: KnownListing
    new: list[Attempt] = field(default_factory=list)
    retry: list[Attempt] = field(default_factory=list)
    collected: list[Listed] = field(default_factory=list)
    presumed: list[Attempt] = field(default_factory=list)
    """Collected as well, judging by the headers: to be deleted once the content was compared."""
    kept: int = 0
    """Also collected, but not to be deleted now: doubtful (`Arrival.doubt`), presumed in a mode
    that deletes nothing, or beyond the deletions of one session."""
    too_large: int = 0
    parked: int = 0
    paused: int = 0
    more: int = 0
    """The number of further new messages: there may be millions."""

    def add_collected(
        self, message: Listed, entry: Entry, max_size: int, keep: int, *, deletes: bool
    ) -> None:
        """Add a message that is collected, or presumed so. `keep`: how many are kept in the list;
        the others are only counted."""
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


def _sort(
    known: KnownListing,
    max_size: int,
    due: Callable[[Entry], bool],
    *,
    deletes: bool,
    most: int,
) -> _Sorted:
    found = _Sorted(known)
    keep = DELETED if deletes else PROBE_CANDIDATES
    for message, entry in known:
        if (
            entry is not None
            and entry.state in WHOLE
            and not (entry.state is MessageState.COLLECTED and _reused(known.listing, entry))
        ):
            found.add_collected(message, entry, max_size, keep, deletes=deletes)
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
    """Return whether the key may stand for another message now: a UIDL that is listed again after
    its deletion was confirmed. A UID never does (RFC 3501, 2.3.1.1)."""
    return entry.deleted and listing.folder.account.protocol == "pop3"


def _suspects_to_half(new: list[Attempt], limit: int) -> list[Attempt]:
    """Put suspects beyond half of the limit last, where there are others: other mail must not wait
    behind them."""
    suspects = _split_suspects(new)[1]
    late = {attempt.listed.key for attempt in suspects[max(1, limit // 2) :]}
    return sorted(new, key=lambda attempt: attempt.listed.key in late)


def _split_suspects(attempts: list[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
    """Return the ordinary attempts, and the suspects."""
    suspects = [attempt for attempt in attempts if is_suspect(attempt.previous)]
    return [attempt for attempt in attempts if not is_suspect(attempt.previous)], suspects
