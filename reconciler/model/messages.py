"""What identifies a message, and what a source says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.errors import SourceError

Protocol = Literal["imap", "pop3"]
NUMBERINGS = 1 << 32
"""What lies between the validities of a folder that was numbered anew unannounced."""


class Account(Struct, frozen=True):
    """A remote mailbox account; UIDs and UIDLs mean something only within one."""

    protocol: Protocol
    host: str
    port: int
    username: str


class Folder(Struct, frozen=True):
    """A folder as the server numbers it now.

    `name` is "" for POP3. `validity` is the UIDVALIDITY (RFC 3501, 2.3.1.1), 0 for POP3: when it
    changes, keys mean other messages.
    """

    account: Account
    name: str
    validity: int

    def renumbered(self) -> Folder:
        """The same folder after the server has numbered its messages anew without changing the
        UIDVALIDITY: a number of 32 bits, so that this one cannot be mistaken for any that a server
        gives."""
        return replace(self, validity=self.validity + NUMBERINGS)


class Listed(Struct, frozen=True):
    """A message on the server.

    `key` is the UID in decimal (IMAP) or the UIDL (POP3, RFC 1939, section 7). `size` is what the
    server announces, in octets; it is a hint only, and None where it does not say.
    """

    key: str
    size: int | None
    ambiguous: bool = False
    """Other messages bear the same UIDL (hazard P2): deleted only in the session that collected
    it."""


class Listing(Struct, frozen=True):
    """Every message of a folder, oldest first, keys unique."""

    folder: Folder
    messages: Sequence[Listed]
    """Where there are very many, made when they are looked at: better looked through than picked
    from."""
    read_only: bool = False
    """The server refuses deletes here (IMAP READ-ONLY although opened for writing)."""
    keys_stable: bool = True
    """False: the server gives no UIDL, keys are numbers of this session only (hazard P1)."""
    next_key: int | None = None
    """UIDNEXT (RFC 3501, 2.3.1.1): above every UID that this folder ever had. None where it is not
    told."""
    notes: tuple[str, ...] = ()
    """What else is worth knowing: a declared folder that does not exist, say."""
    partial: bool = False
    """The server broke the listing off: there may be more messages than these."""


class Pace(Enum):
    """How much a source asks for at once."""

    AHEAD = "ahead"
    """What comes next while the answer to what was asked for is read."""
    STEADY = "steady"
    """One command at a time. By POP3 that is one message."""
    SINGLY = "singly"
    """One message at a time, so that it alone can be the cause when the fetch breaks down."""


class Arrival(Struct, frozen=True):
    """A message on its way. `content` yields its octets as stored on the server, dot-stuffing
    undone, CRLF line ends.

    The content must be read to its end before the next message is asked for. When the iterator
    ends, the message is whole; an incomplete one raises a `SourceError`, never just ends.
    """

    listed: Listed
    content: Iterator[bytes]
    doubt: Callable[[], str] = str
    """Asked when the content has ended: why the message may lack something although it ended
    properly; "": nothing speaks against it. It is delivered, and never deleted from the server
    (hazard P7)."""


class Vanished(Struct, frozen=True):
    """The message was gone when it was asked for: expunged by somebody else. Not an error, unless
    it is listed again. `reason`: the server's words, where it has any."""

    listed: Listed
    reason: str = ""


class Unfetched(Struct, frozen=True):
    """The server refused this one message; the others flow. `later`: what its words stand for,
    where they are those of a server that wants to be asked later, about whatever it is."""

    listed: Listed
    reason: str
    later: SourceError | None = None
    final: bool = False
    """It is not to be asked for again: there is no mail in it."""


Fetched = Arrival | Vanished | Unfetched


class Deletion(Struct, frozen=True):
    """What became of a request to delete: `confirmed` are gone for good, `pending` go when the
    session is finished, `refused` stay on the server, each with the reason."""

    confirmed: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    refused: tuple[tuple[str, str], ...] = ()


class Fingerprint(Struct, frozen=True):
    """SHA-256 in hex of the header block and of the whole message, line ends unified and trailing
    ones removed."""

    header: str
    content: str


class DeliveryId(Struct, frozen=True):
    """Names one message of one collector's history for good: the same message gets the same id
    after a crash.

    `clear`, and a change into all-delete, begin a new epoch. `occurrence` tells messages apart that
    bear the same key (a server that reuses a UIDL).
    """

    collector: str
    epoch: int
    folder: Folder
    key: str
    occurrence: int = 0
