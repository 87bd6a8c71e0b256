"""What identifies a message, and what a source says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.errors import SourceError

Protocol = Literal["imap", "pop3"]
NUMBERINGS = 1 << 32
"""The difference between the validities of a folder before and after an unannounced
renumbering."""


class Account(Struct, frozen=True):
    """A remote mailbox account. UIDs and UIDLs are unique within one account only."""

    protocol: Protocol
    host: str
    port: int
    username: str


class Folder(Struct, frozen=True):
    """A folder with its present numbering.

    `name` is "" for POP3. `validity` is the UIDVALIDITY (RFC 3501, 2.3.1.1), 0 for POP3: when it
    changes, keys mean other messages.
    """

    account: Account
    name: str
    validity: int

    def renumbered(self) -> Folder:
        """Return the same folder after a renumbering in which the UIDVALIDITY stayed the same. A
        UIDVALIDITY has 32 bits, so no server gives the larger number that is used here."""
        return replace(self, validity=self.validity + NUMBERINGS)


class Listed(Struct, frozen=True):
    """A message on the server.

    `key` is the UID in decimal (IMAP) or the UIDL (POP3, RFC 1939, section 7). `size` is what the
    server announces, in octets: a hint only, and None where the server does not say.
    """

    key: str
    size: int | None
    ambiguous: bool = False
    """Other messages have the same UIDL (hazard P2). Then it is deleted only in the session that
    collected it."""


class Listing(Struct, frozen=True):
    """Every message of a folder, oldest first, keys unique."""

    folder: Folder
    messages: Sequence[Listed]
    """Where there are very many, each is made when it is read: iterate rather than index."""
    read_only: bool = False
    """The server refuses deletes here (IMAP READ-ONLY although opened for writing)."""
    keys_stable: bool = True
    """False: the server gives no UIDL, so keys are valid in this session only (hazard P1)."""
    next_key: int | None = None
    """UIDNEXT (RFC 3501, 2.3.1.1), larger than every UID that this folder ever had. None where the
    server does not say."""
    notes: tuple[str, ...] = ()
    """What people should know besides, such as a declared folder that does not exist."""
    partial: bool = False
    """The server ended the listing early: there may be more messages."""


class Pace(Enum):
    """How much a source asks for at once."""

    AHEAD = "ahead"
    """The next messages are asked for while a reply is read."""
    STEADY = "steady"
    """One command at a time; by POP3 that is one message."""
    SINGLY = "singly"
    """One message at a time, so that it alone can be the cause when the fetch breaks down."""


class Arrival(Struct, frozen=True):
    """A message that comes. `content` yields its octets as stored on the server, with CRLF line
    ends, and without the dot-stuffing of POP3.

    The content must be read to its end before the next message is asked for. When the iterator
    ends, the message is complete; for an incomplete message it raises a `SourceError`.
    """

    listed: Listed
    content: Iterator[bytes]
    doubt: Callable[[], str] = str
    """Called when the content has ended. Returns why the message may be incomplete although it
    ended properly, or "". A doubtful message is delivered and never deleted from the server (hazard
    P7)."""


class Vanished(Struct, frozen=True):
    """The message was gone when it was asked for, as somebody else had expunged it. No error,
    unless it is listed again. `reason`: the server's words, if any."""

    listed: Listed
    reason: str = ""


class Unfetched(Struct, frozen=True):
    """The server refused this one message; the others come. `later`: the error that its words stand
    for, where they ask to try again later, whatever the message."""

    listed: Listed
    reason: str
    later: SourceError | None = None
    final: bool = False
    """Do not ask for it again: it contains no mail."""


Fetched = Arrival | Vanished | Unfetched


class Deletion(Struct, frozen=True):
    """The result of a request to delete, by key. `confirmed` are gone for good, `pending` go when
    the session is finished, `refused` stay on the server, each with the reason."""

    confirmed: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    refused: tuple[tuple[str, str], ...] = ()


class Fingerprint(Struct, frozen=True):
    """SHA-256 in hex of the header block and of the whole message, after line ends were unified and
    trailing ones removed."""

    header: str
    content: str


class DeliveryId(Struct, frozen=True):
    """Identifies one message in the history of one collector for good: after a crash, the same
    message gets the same id.

    `clear`, and a change to all-delete, begin a new epoch. `occurrence` distinguishes messages with
    the same key, as of a server that reuses a UIDL.
    """

    collector: str
    epoch: int
    folder: Folder
    key: str
    occurrence: int = 0
