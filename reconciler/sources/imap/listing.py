"""A folder's messages: UIDs and sizes (RFC 3501, 6.4.8), read line by line, for there may be very many."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import overload

from msgspec import Struct

from reconciler.model.errors import Flooded, FolderFailed, ProtocolViolation
from reconciler.model.messages import Listed
from reconciler.sources.imap.dialogue import Dialogue
from reconciler.sources.imap.responses import Completed, Fetched, number
from reconciler.sources.imap.search import all_uids
from reconciler.sources.imap.uids import uid_sets

_UNKNOWN = (1 << 64) - 1
_FEW = 20_000
"""So many are kept as they are used; more would take too much memory."""
_DISORDERED = 50_000
"""So many may be listed in another order than theirs."""
ARRIVING = 1000
"""So many messages may come into a folder between its opening and its listing."""
BLOCK = 1000
"""Where a listing ended the connection: so many sizes are asked for with one command."""
LOSSES = 14
"""So many answers may fail while messages whose size cannot be had are looked for among the others: enough for one in
a block, whichever it is."""
UNSIZED = 10_000
"""So many of an account are remembered."""


def selected_validity(dialogue: Dialogue, name: str) -> int:
    """The UIDVALIDITY that SELECT has just told; without one, UIDs mean nothing (hazard I10)."""
    validity = dialogue.told_validity()
    if not validity:
        raise FolderFailed(f'{dialogue.connection.endpoint}: the server gives the folder "{name}" no UIDVALIDITY, so '
                           "that its messages cannot be told apart from one session to the next")
    return validity


def selected_count(dialogue: Dialogue) -> int:
    """EXISTS of the SELECT; 0 when it was not told."""
    told = dialogue.untagged("EXISTS")
    return (number(told[-1], 1 << 62) or 0) if told else 0


def selected_next(dialogue: Dialogue) -> int | None:
    """UIDNEXT of the SELECT; None when it was not told (hazard I28)."""
    told = dialogue.untagged("UIDNEXT")
    return (number(told[-1], 1 << 62) or None) if told else None


class Found(Struct, frozen=True):
    """The messages of a folder; `broken_off`: the refusal with which the server ended the listing, "" when it did
    not."""

    messages: Sequence[Listed]
    broken_off: str = ""


def list_messages(dialogue: Dialogue, sizes: Sizes) -> Found:
    """Every message of the selected folder in the order of UIDs, which is the order of arrival. `sizes` gets them as
    they come, so that they are known where the connection ends in the middle.

    The answer alone counts: no UIDNEXT (hazard I28), nothing twice, no impossible UID (hazards I7, I13, I14).
    """
    announced = selected_count(dialogue)
    if not announced:
        return Found(())
    broken_off = ""
    for response in dialogue.fetch_uids("1:*", "(UID RFC822.SIZE)"):
        match response:
            case Fetched(uid=int(uid)) if uid:
                sizes.take(uid, response.size)
                if len(sizes) > announced + ARRIVING:
                    raise Flooded(f"{dialogue.connection.endpoint}: the server announced {announced} messages and "
                                  "lists many more")
            case Completed(ok=False):
                broken_off = response.text or response.status
    return Found(sizes.messages(), broken_off)


class Sizes:
    """By UID. Servers list in ascending order, so that two columns of numbers do, a few octets for each message; what
    comes in another order is sorted, unless there is too much of it."""

    def __init__(self) -> None:
        self._uids = array("I")
        self._sizes = array("Q")
        self._mixed: dict[int, int | None] | None = None

    def __len__(self) -> int:
        return len(self._uids if self._mixed is None else self._mixed)

    def take(self, uid: int, size: int | None) -> None:
        if self._mixed is not None or (self._uids and uid <= self._uids[-1]):
            self._mix(uid, size)
        else:
            self._uids.append(uid)
            self._sizes.append(_UNKNOWN if size is None else size)

    def _mix(self, uid: int, size: int | None) -> None:
        if len(self) > _DISORDERED:
            raise ProtocolViolation(f"the server lists more than {_DISORDERED} messages, and not in their order")
        if self._mixed is None:
            self._mixed = {int(listed.key): listed.size for listed in _Columns(self._uids, self._sizes)}
        self._mixed[uid] = size if size is not None else self._mixed.get(uid)

    def messages(self) -> Sequence[Listed]:
        if self._mixed is not None:
            return tuple(Listed(str(uid), self._mixed[uid]) for uid in sorted(self._mixed))
        columns = _Columns(self._uids, self._sizes)
        return columns if len(columns) > _FEW else tuple(columns)


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
    """Lists a folder whose listing as a whole ends the connection: the UIDs alone, then sizes in blocks, by halves down
    to the message whose size cannot be had.

    To be gone on with over another connection whenever a call of `go_on` raises: it knows what has been had.
    """

    def __init__(self, sizes: Sizes, unsized: Collection[int]) -> None:
        """`sizes` are known already, those of `unsized` are never asked for."""
        self.losses = 0
        self.unsized = set(unsized)
        self._sizes = {int(listed.key): listed.size for listed in sizes.messages()}
        self._uids: frozenset[int] | None = None
        self._ways = ["SEARCH", "FETCH"]
        self._blocks: list[list[int]] = []
        self._asked: list[int] = []

    def go_on(self, dialogue: Dialogue) -> Found | None:
        """None: the server does not even list UIDs."""
        if self._asked:
            self._divide()
        while self._uids is None:
            if not self._ways:
                return None
            uids = all_uids(dialogue, self._ways.pop(0), selected_count(dialogue) + ARRIVING)
            if uids is not None:
                self._uids = uids
                unknown = sorted(uids - self._sizes.keys() - self.unsized)
                self._blocks = [unknown[start:start + BLOCK] for start in range(0, len(unknown), BLOCK)]
        while self._blocks:
            self._asked = self._blocks.pop(0)
            if self.losses >= LOSSES:
                self._asked = []
                continue
            if not self._ask(dialogue):
                self._divide()
            self._asked = []
        found = Sizes()
        for uid in sorted(self._uids):
            found.take(uid, self._sizes.get(uid))
        return Found(found.messages())

    def _ask(self, dialogue: Dialogue) -> bool:
        """Whether the server answers for all."""
        members = frozenset(self._asked)
        for text, _ in uid_sets(members):
            for response in dialogue.fetch_uids(text, "(UID RFC822.SIZE)"):
                if isinstance(response, Completed):
                    if not response.ok:
                        return False
                elif response.uid in members and response.size is not None:
                    self._sizes[response.uid] = response.size
        return True

    def _divide(self) -> None:
        """What had come is had; the next one is the likeliest cause."""
        self.losses += 1
        left = [uid for uid in self._asked if uid not in self._sizes]
        middle = 1 if len(left) < len(self._asked) else (len(left) + 1) // 2
        if len(left) == 1:
            self.unsized.update(left)
        else:
            self._blocks[:0] = [part for part in (left[:middle], left[middle:]) if part]
        self._asked = []
