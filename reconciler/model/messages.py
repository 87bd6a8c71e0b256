"""The identity of messages, and the answers of a source about them."""

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

    `name` is "" for POP3. `validity` is the UIDVALIDITY (RFC 3501, section 2.3.1.1), or 0 for POP3.
    When it changes, the same keys identify other messages.
    """

    account: Account
    name: str
    validity: int

    def renumbered(self) -> Folder:
        """Return the same folder after a renumbering without a change of UIDVALIDITY.

        The new validity is a number of more than 32 bits, which no server's UIDVALIDITY can be.
        """
        return replace(self, validity=self.validity + NUMBERINGS)


class Listed(Struct, frozen=True):
    """A message on the server.

    `key` is the UID in decimal (IMAP) or the UIDL (POP3, RFC 1939, section 7). `size` is the
    announced size in octets, or None. It may be wrong.
    """

    key: str
    size: int | None
    ambiguous: bool = False
    """Whether other messages have the same UIDL (hazard P2). Such a message is only deleted by the
    session that collected it."""


class Listing(Struct, frozen=True):
    """All messages of a folder, oldest first, with unique keys."""

    folder: Folder
    messages: Sequence[Listed]
    """A large listing creates each element on access, so that iterating is faster than indexing."""
    read_only: bool = False
    """Whether the server refuses deletes (IMAP READ-ONLY although opened for writing)."""
    keys_stable: bool = True
    """False if the server has no UIDL. The keys are then valid in this session only (hazard P1)."""
    next_key: int | None = None
    """UIDNEXT (RFC 3501, section 2.3.1.1), which is larger than every UID that the folder ever had,
    or None if unknown."""
    notes: tuple[str, ...] = ()
    """Other facts for people, such as a declared folder that does not exist."""
    partial: bool = False
    """Whether the server ended the listing early, so that there may be more messages."""


class Pace(Enum):
    """The number of messages that a source requests at once."""

    AHEAD = "ahead"
    """The next messages are requested while a reply is read."""
    STEADY = "steady"
    """One command at a time, which is one message by POP3."""
    SINGLY = "singly"
    """One message at a time, so that it must be the cause of a failure."""


class Arrival(Struct, frozen=True):
    """A message from the server.

    `content` yields its octets as stored on the server, with CRLF line ends and without the
    dot-stuffing of POP3. It must be read to its end before the next message is requested. Its end
    means that the message is complete; an incomplete message raises a `SourceError`.
    """

    listed: Listed
    content: Iterator[bytes]
    doubt: Callable[[], str] = str
    """To be called after the end of the content. Returns "", or the reason why the message may be
    incomplete although it ended properly. Such a message is delivered and never deleted from the
    server (hazard P7)."""


class Vanished(Struct, frozen=True):
    """The message no longer existed when it was requested, because another client deleted it.

    This is an error only if the message is listed again. `reason` has the server's words, if any.
    """

    listed: Listed
    reason: str = ""


class Unfetched(Struct, frozen=True):
    """The server refused this message but not the others.

    `later` is the error for the server's words if they ask to try again later.
    """

    listed: Listed
    reason: str
    later: SourceError | None = None
    final: bool = False
    """Whether the message must not be requested again, because it contains no mail."""


Fetched = Arrival | Vanished | Unfetched


class Deletion(Struct, frozen=True):
    """The result of a request to delete, by key.

    `confirmed` messages no longer exist, `pending` ones are deleted at the end of the session, and
    `refused` ones stay on the server, each with the reason.
    """

    confirmed: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    refused: tuple[tuple[str, str], ...] = ()


class Fingerprint(Struct, frozen=True):
    """The SHA-256 in hex of the header block and of the whole message, with unified line ends and
    without trailing ones."""

    header: str
    content: str


class DeliveryId(Struct, frozen=True):
    """The permanent identity of a message in a collector's history. It is the same after a crash.

    `clear` and a change to all-delete begin a new epoch. `occurrence` distinguishes messages with
    the same key, for servers that reuse a UIDL.
    """

    collector: str
    epoch: int
    folder: Folder
    key: str
    occurrence: int = 0
