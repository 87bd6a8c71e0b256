"""A folder's messages: UIDs and sizes (RFC 3501, 6.4.8), read line by line, for there may be very
many."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import overload

from msgspec import Struct

from reconciler.model.errors import Flooded, FolderFailed
from reconciler.model.messages import Listed
from reconciler.sources.imap.fetch_responses import LARGEST_UID, Completed, Fetched, number
from reconciler.sources.imap.imap_dialogue import ImapDialogue
from reconciler.sources.imap.uid_search import all_uids, uid_sets
from reconciler.sources.listing_columns import MOST, ascending, in_order, too_many

_UNKNOWN = (1 << 32) - 1
_LARGE = (1 << 32) - 2
"""Larger sizes count as that: they are hints."""
_FEW = 5_000
"""So many are kept as they are used; more would take too much memory."""
_REPEATS = 10
"""So often may a server list what it has listed."""
_LINE = 340
"""Octets that a line of a listing may count for; see `ImapDialogue.fetch_sizes`."""
ARRIVING = 1000
"""So many messages may come into a folder between its opening and its listing."""
BLOCK = 1000
"""Where a listing ended the connection: so many sizes are asked for with one command."""
LOSSES = 14
"""So many answers may fail while messages whose size cannot be had are looked for among the others:
enough for one in a block, whichever it is."""
UNSIZED = 10_000
"""So many of an account are remembered."""


def selected_validity(dialogue: ImapDialogue, name: str) -> int:
    """The UIDVALIDITY that SELECT has just told; without one, UIDs mean nothing (hazard I10)."""
    validity = dialogue.told_validity()
    if not validity:
        raise FolderFailed(
            f'{dialogue.connection.endpoint}: the server gives the folder "{name}" no UIDVALIDITY, so '
            "that its messages cannot be told apart from one session to the next"
        )
    return validity


def selected_count(dialogue: ImapDialogue) -> int | None:
    """EXISTS of the SELECT; None when it was not told."""
    told = dialogue.untagged("EXISTS")
    return number(told[-1], 1 << 62) if told else None


def selected_next(dialogue: ImapDialogue) -> int | None:
    """UIDNEXT of the SELECT; None when it was not told (hazard I28)."""
    told = dialogue.untagged("UIDNEXT")
    return (number(told[-1], 1 << 62) or None) if told else None


class ListedFolder(Struct, frozen=True):
    """The messages of a folder; `broken_off`: the refusal with which the server ended the listing,
    "" when it did not. `unread`: some of what it sent could not be understood. `announced`: EXISTS,
    0 when it was not told."""

    messages: Sequence[Listed]
    broken_off: str = ""
    unread: bool = False
    announced: int = 0

    @property
    def short(self) -> bool:
        """Fewer than the server says there are."""
        return len(self.messages) < self.announced


def list_messages(dialogue: ImapDialogue, sizes: SizesByUid) -> ListedFolder:
    """Every message of the selected folder in the order of UIDs, which is the order of arrival.
    `sizes` gets them as they come, so that they are known where the connection ends in the middle.

    The answer alone counts: no UIDNEXT (hazard I28), nothing twice, no impossible UID (hazards I7,
    I13, I14).
    """
    announced = selected_count(dialogue)
    if announced == 0:
        return ListedFolder(())
    if announced is not None:
        sizes.expect(announced, str(dialogue.connection.endpoint))
    broken_off, unread = "", dialogue.unread
    for response in dialogue.fetch_sizes(
        "1:*", sizes.take_many, octets=(announced or MOST) * _LINE
    ):
        match response:
            case Fetched(uid=int(uid)) if uid:
                sizes.take(uid, response.size)
            case Completed(ok=False):
                broken_off = response.text or response.status
    return ListedFolder(
        sizes.messages(), broken_off, unread=dialogue.unread > unread, announced=announced or 0
    )


class SizesByUid:
    """By UID, in two columns of numbers: a few octets for each message. Servers list in ascending
    order; what comes in another one is sorted at the end."""

    def __init__(self, take_share: Callable[[int], object] = int) -> None:
        """`take_share` is told how many messages more there are, before they are kept."""
        self._uids = array("I")
        self._sizes = array("I")
        self._sorted = True
        self._most = MOST
        self._repeats = 0
        self._who = "the server"
        self._take_share = take_share

    def __len__(self) -> int:
        return len(self._uids)

    def expect(self, announced: int, who: str) -> None:
        """So many messages are to come; raises ProtocolViolation where these are more than there
        may be."""
        if announced > MOST:
            raise too_many(f"{who}: the folder")
        self._most, self._who = announced + ARRIVING, who

    def take(self, uid: int, size: int | None) -> None:
        self._add([uid], [_UNKNOWN if size is None else min(size, _LARGE)])

    def take_many(self, listed: Sequence[tuple[bytes, bytes]]) -> None:
        """Digits of UIDs and sizes; what cannot be a UID is dropped."""
        uids = [int(uid) for uid, _ in listed]
        sizes = [min(int(size), _LARGE) for _, size in listed]
        if not (min(uids) and max(uids) <= LARGEST_UID):
            fit = [place for place, uid in enumerate(uids) if 0 < uid <= LARGEST_UID]
            uids, sizes = [uids[place] for place in fit], [sizes[place] for place in fit]
        if uids:
            self._add(uids, sizes)

    def _add(self, uids: list[int], sizes: list[int]) -> None:
        self._take_share(len(uids))
        self._sorted = (
            self._sorted and (not self._uids or self._uids[-1] < uids[0]) and ascending(uids)
        )
        self._uids.extend(uids)
        self._sizes.extend(sizes)
        if len(self._uids) > self._most:
            self._repeats += not self._sorted
            if self._sorted or self._repeats > _REPEATS or len(self._settled()) > self._most:
                raise Flooded(
                    f"{self._who}: the server announced {self._most - ARRIVING} messages and lists many more"
                )

    def _settled(self) -> array[int]:
        """The UIDs, ascending, each once. Of what is listed repeatedly the last size that is known
        counts."""
        if not self._sorted:
            uids, sizes = array("I"), array("I")
            for uid, place in in_order(self._uids):
                size = self._sizes[place]
                if not uids or uids[-1] != uid:
                    uids.append(uid)
                    sizes.append(size)
                elif size != _UNKNOWN:
                    sizes[-1] = size
            self._uids, self._sizes, self._sorted = uids, sizes, True
        return self._uids

    def messages(self) -> Sequence[Listed]:
        columns = _Columns(self._settled(), self._sizes)
        return columns if len(columns) > _FEW else tuple(columns)

    def places(self) -> array[int]:
        """The UIDs in their order."""
        return self._settled()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """UIDs and sizes, in their order."""
        return zip(self._settled(), self._sizes, strict=True)

    def know(self, uid: int, size: int) -> bool:
        """Of one that was listed: its size, now; whether it was."""
        place = self._place(uid)
        if place is not None:
            self._sizes[place] = min(size, _LARGE)
        return place is not None

    def known(self, uid: int) -> bool:
        """Whether it was listed, with its size."""
        place = self._place(uid)
        return place is not None and self._sizes[place] != _UNKNOWN

    def _place(self, uid: int) -> int | None:
        place = bisect_left(self._settled(), uid)
        return place if place < len(self._uids) and self._uids[place] == uid else None


class _Columns(Sequence[Listed]):
    """Messages that are made when they are looked at."""

    def __init__(self, uids: array[int], sizes: array[int]) -> None:
        self._uids = uids
        self._sizes = sizes

    def __len__(self) -> int:
        return len(self._uids)

    @overload
    def __getitem__(self, index: int) -> Listed: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Listed]: ...

    def __getitem__(self, index: int | slice) -> Listed | Sequence[Listed]:
        if isinstance(index, slice):
            return _Columns(self._uids[index], self._sizes[index])
        size = self._sizes[index]
        return Listed(str(self._uids[index]), None if size == _UNKNOWN else size)


class Lister:
    """Lists a folder whose listing as a whole ends the connection or leaves messages out: the UIDs
    alone, then sizes in blocks, by halves down to the message whose size cannot be had.

    To be gone on with over another connection whenever a call of `go_on` raises: it knows what has
    been had.
    """

    def __init__(
        self,
        sizes: SizesByUid,
        unsized: Collection[int],
        announced: int = 0,
        *,
        searches: bool = True,
    ) -> None:
        """`sizes` are known already, those of `unsized` are never asked for. Not `searches`: the
        server dies of SEARCH."""
        self.losses = 0
        self.unsized = set(unsized)
        self._had = sizes
        self._announced = announced
        self._told = SizesByUid()
        self._found: SizesByUid | None = None
        self._ways = ["SEARCH", "FETCH"] if searches else ["FETCH"]
        self._way = ""
        self._blocks: list[list[int]] = []
        self._rest: Iterator[int] = iter(())
        self._asked: list[int] = []

    def go_on(self, dialogue: ImapDialogue) -> ListedFolder | None:
        """None: the server does not even list UIDs."""
        if self._asked:
            self._divide()
        while self._found is None:
            if not self._ways:
                return None
            self._way = self._ways.pop(0)
            self._found = self._listed(dialogue, self._way)
        while block := self._blocks.pop(0) if self._blocks else self._next_block():
            self._asked = block
            if self.losses >= LOSSES:
                self._asked = []
                continue
            if not self._ask(dialogue):
                self._divide()
            self._asked = []
        return ListedFolder(self._found.messages(), announced=self._announced)

    @property
    def searching(self) -> bool:
        """A SEARCH is under way, or ended the connection."""
        return self._way == "SEARCH" and self._found is None

    def _listed(self, dialogue: ImapDialogue, way: str) -> SizesByUid | None:
        """The messages, with the sizes that are known. None: they were not told, or there are far
        too many; or fewer than there are, and there is another way to ask."""
        self._announced = selected_count(dialogue) or self._announced
        told = all_uids(dialogue, way, self._announced + ARRIVING)
        for uid in told or ():
            self._told.take(uid, None)
        if (told is None or len(told) < self._announced) and (self._ways or not len(self._told)):
            return None
        found = self._told
        untold = [
            (uid, size)
            for uid, size in self._had.pairs()
            if size != _UNKNOWN and not found.know(uid, size)
        ]
        for uid, size in untold:
            found.take(uid, size)
        self._had = SizesByUid()
        self._rest = (
            uid for uid in found.places() if not found.known(uid) and uid not in self.unsized
        )
        return found

    def _next_block(self) -> list[int]:
        return list(islice(self._rest, BLOCK))

    def _ask(self, dialogue: ImapDialogue) -> bool:
        """Whether the server answers for all."""
        assert self._found is not None  # noqa: S101  # `go_on` asks for sizes when it has UIDs
        members = frozenset(self._asked)
        for text, _ in uid_sets(members):
            for response in dialogue.fetch_uids(text, "(UID RFC822.SIZE)"):
                if isinstance(response, Completed):
                    if not response.ok:
                        return False
                elif response.uid in members and response.size is not None:
                    self._found.know(response.uid, response.size)
        return True

    def _divide(self) -> None:
        """What had come is had; the next one is the likeliest cause."""
        self.losses += 1
        left = [
            uid for uid in self._asked if self._found is not None and not self._found.known(uid)
        ]
        middle = 1 if len(left) < len(self._asked) else (len(left) + 1) // 2
        if len(left) == 1:
            self.unsized.update(left)
        else:
            self._blocks[:0] = [part for part in (left[:middle], left[middle:]) if part]
        self._asked = []
