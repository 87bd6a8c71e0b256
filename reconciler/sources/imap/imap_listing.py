"""List a folder's messages: UIDs and sizes by UID FETCH (RFC 3501, section 6.4.8).

Lines are read as they come, as there may be very many. `list_messages` lists a folder with one
command. `FolderLister` lists one that cannot be listed so.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import overload

from msgspec import Struct

from reconciler.model.errors import Flooded, FolderFailed
from reconciler.model.messages import Listed
from reconciler.sources.imap.fetch_responses import LARGEST_UID, Fetched, TaggedCompletion, number
from reconciler.sources.imap.imap_dialogue import ImapDialogue
from reconciler.sources.imap.uid_search import all_uids, uid_sets
from reconciler.sources.listing_columns import MOST, ascending, in_order, too_many

_UNKNOWN = (1 << 32) - 1
"""The number that stands for a size that is not known."""
_LARGE = (1 << 32) - 2
"""The number that stands for any larger size: sizes are hints."""
_FEW = 5_000
"""Messages up to which a tuple of them is kept; more would take too much memory."""
_REPEATS = 10
"""Runs of lines out of order after which a server that lists too many is stopped."""
_LINE = 340
"""Octets that a line of a listing counts for at most; see `ImapDialogue.fetch_sizes`."""
ARRIVING = 1000
"""Messages that may arrive between the opening of a folder and its listing."""
BLOCK = 1000
"""Sizes that `FolderLister` asks for with one command."""
LOSSES = 14
"""Answers that may fail while `FolderLister` looks for a message without a size: enough to find one
anywhere in a block."""
UNSIZED = 10_000
"""Messages without a size that are remembered of an account."""


def selected_validity(dialogue: ImapDialogue, name: str) -> int:
    """Return the UIDVALIDITY that SELECT has just told.

    Raises FolderFailed where there is none: UIDs mean nothing then (hazard I10).
    """
    validity = dialogue.announced_validity()
    if not validity:
        raise FolderFailed(
            f'{dialogue.connection.endpoint}: the server gives the folder "{name}" no UIDVALIDITY, '
            "so that its messages cannot be told apart from one session to the next"
        )
    return validity


def selected_count(dialogue: ImapDialogue) -> int | None:
    """Return EXISTS of the SELECT; None where it was not told."""
    numbers = dialogue.untagged("EXISTS")
    return number(numbers[-1], 1 << 62) if numbers else None


def selected_next(dialogue: ImapDialogue) -> int | None:
    """Return UIDNEXT of the SELECT; None where it was not told (hazard I28)."""
    numbers = dialogue.untagged("UIDNEXT")
    return (number(numbers[-1], 1 << 62) or None) if numbers else None


class ListedFolder(Struct, frozen=True):
    """The messages of a folder, as far as the server lists them."""

    messages: Sequence[Listed]
    broken_off: str = ""
    """The refusal with which the server ended the listing, "" where it did not."""
    unread: bool = False
    """Whether some responses could not be understood."""
    announced: int = 0
    """EXISTS; 0 if the server did not send it."""

    @property
    def short(self) -> bool:
        """Whether fewer messages are listed than the server says there are."""
        return len(self.messages) < self.announced


def list_messages(dialogue: ImapDialogue, sizes: SizesByUid) -> ListedFolder:
    """List the selected folder in the order of UIDs, which is the order of arrival.

    `sizes` gets the messages as they come, so that they are known where the connection ends in the
    middle. Only the answer counts, not UIDNEXT (hazard I28). Repeated and impossible UIDs are
    dropped (hazards I7, I13, I14).
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
            case TaggedCompletion(ok=False):
                broken_off = response.text or response.status
    return ListedFolder(
        sizes.messages(), broken_off, unread=dialogue.unread > unread, announced=announced or 0
    )


class SizesByUid:
    """UIDs and sizes in two columns of numbers: eight octets for each message.

    Servers mostly list in ascending order; another order is sorted at the end.
    """

    def __init__(self, take_share: Callable[[int], object] = int) -> None:
        """`take_share` is called with the number of messages that are about to be kept."""
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
        """Expect `announced` messages; `who` names the server in errors.

        Raises ProtocolViolation where that is more than a folder may have.
        """
        if announced > MOST:
            raise too_many(f"{who}: the folder")
        self._most, self._who = announced + ARRIVING, who

    def take(self, uid: int, size: int | None) -> None:
        """Keep one message."""
        self._add([uid], [_UNKNOWN if size is None else min(size, _LARGE)])

    def take_many(self, listed: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep messages, given as digits of UID and size; drop what cannot be a UID."""
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
                    f"{self._who}: the server announced {self._most - ARRIVING} messages and lists "
                    "many more"
                )

    def _settled(self) -> array[int]:
        """Return the UIDs, ascending, each once; of repeated ones the last known size counts."""
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
        """Return the messages in the order of UIDs."""
        columns = _Columns(self._settled(), self._sizes)
        return columns if len(columns) > _FEW else tuple(columns)

    def uids(self) -> array[int]:
        """Return the UIDs in their order."""
        return self._settled()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield (UID, size) in the order of UIDs; an unknown size is `_UNKNOWN`."""
        return zip(self._settled(), self._sizes, strict=True)

    def set_size(self, uid: int, size: int) -> bool:
        """Set the size of a listed message; return whether it was listed."""
        place = self._place(uid)
        if place is not None:
            self._sizes[place] = min(size, _LARGE)
        return place is not None

    def has_size(self, uid: int) -> bool:
        """Return whether the message was listed with its size."""
        place = self._place(uid)
        return place is not None and self._sizes[place] != _UNKNOWN

    def _place(self, uid: int) -> int | None:
        place = bisect_left(self._settled(), uid)
        return place if place < len(self._uids) and self._uids[place] == uid else None


class _Columns(Sequence[Listed]):
    """A sequence whose messages are made when they are looked at."""

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


class FolderLister:
    """Lists a folder whose listing as a whole ends the connection or leaves messages out.

    It asks for the UIDs alone, then for sizes in blocks. A block that ends the connection is
    divided, down to the message whose size cannot be had. When `continue_over` raises, call it
    again with another connection: what has come is kept.
    """

    def __init__(
        self,
        sizes: SizesByUid,
        unsized: Collection[int],
        announced: int = 0,
        *,
        searches: bool = True,
    ) -> None:
        """`sizes` are known already; those of `unsized` are never asked for.

        `searches` is false where SEARCH ends the connection.
        """
        self.losses = 0
        self.unsized = set(unsized)
        self._had = sizes
        self._announced = announced
        self._all_uids = SizesByUid()
        self._found: SizesByUid | None = None
        self._ways = ["SEARCH", "FETCH"] if searches else ["FETCH"]
        self._way = ""
        self._blocks: list[list[int]] = []
        self._rest: Iterator[int] = iter(())
        self._asked: list[int] = []

    def continue_over(self, dialogue: ImapDialogue) -> ListedFolder | None:
        """List over this connection. None where the server does not even list UIDs."""
        if self._asked:
            self._divide()
        while self._found is None:
            if not self._ways:
                return None
            self._way = self._ways.pop(0)
            self._found = self._listed(dialogue, self._way)
        while block := self._blocks.pop(0) if self._blocks else list(islice(self._rest, BLOCK)):
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
        """Whether a SEARCH is under way or ended the connection."""
        return self._way == "SEARCH" and self._found is None

    def _listed(self, dialogue: ImapDialogue, way: str) -> SizesByUid | None:
        """Return the messages with the sizes that are known, asked for in one `way`.

        None where UIDs were not told, or far too many; also where they are fewer than there are
        and another way is left.
        """
        self._announced = selected_count(dialogue) or self._announced
        numbers = all_uids(dialogue, way, self._announced + ARRIVING)
        for uid in numbers or ():
            self._all_uids.take(uid, None)
        if (numbers is None or len(numbers) < self._announced) and (
            self._ways or not len(self._all_uids)
        ):
            return None
        found = self._all_uids
        untold = [
            (uid, size)
            for uid, size in self._had.pairs()
            if size != _UNKNOWN and not found.set_size(uid, size)
        ]
        for uid, size in untold:
            found.take(uid, size)
        self._had = SizesByUid()
        self._rest = (
            uid for uid in found.uids() if not found.has_size(uid) and uid not in self.unsized
        )
        return found

    def _ask(self, dialogue: ImapDialogue) -> bool:
        """Ask for the sizes of the current block; return whether the server accepts it."""
        assert self._found is not None  # noqa: S101  # `go_on` asks for sizes when it has UIDs
        members = frozenset(self._asked)
        for text, _ in uid_sets(members):
            for response in dialogue.fetch_uids(text, "(UID RFC822.SIZE)"):
                if isinstance(response, TaggedCompletion):
                    if not response.ok:
                        return False
                elif response.uid in members and response.size is not None:
                    self._found.set_size(response.uid, response.size)
        return True

    def _divide(self) -> None:
        """Divide the block that failed; what came of it is kept."""
        # The first message that did not come is the likeliest cause, so it is asked for alone.
        self.losses += 1
        left = [
            uid for uid in self._asked if self._found is not None and not self._found.has_size(uid)
        ]
        middle = 1 if len(left) < len(self._asked) else (len(left) + 1) // 2
        if len(left) == 1:
            self.unsized.update(left)
        else:
            self._blocks[:0] = [part for part in (left[:middle], left[middle:]) if part]
        self._asked = []
