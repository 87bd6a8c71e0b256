"""A mailbox that outlives its connections, what goes wrong with it, and what a personality consists
of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Poison = Literal["no", "bad", "bye", "close", "missing", "nil"]
"""What comes for a message that the server cannot deliver: a refusal of the whole command after the
other messages, a goodbye, a closed connection, nothing with an OK, or NIL."""


@dataclass
class Store:
    """`folders`: messages by UID, by the folder's name as the server writes it. `seen`: what was
    marked as read."""

    folders: dict[str, dict[int, bytes]]
    password: str = "app-pa$$word"
    deleted: set[tuple[str, int]] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    poisoned: set[int] = field(default_factory=set)
    throttled: bool = False
    drop_after: int = 0
    """So many messages of a session, then the connection breaks, once."""
    logins: int = 0
    identified: int = 0

    @classmethod
    def of(cls, *texts: bytes, inbox: str = "INBOX") -> Store:
        return cls({inbox: dict(enumerate(texts, 1))})

    @property
    def inbox(self) -> dict[int, bytes]:
        return next(iter(self.folders.values()))


@dataclass(frozen=True)
class Pop3:
    """`capabilities` None: there is no CAPA. `delete_at_once`: RETR marks it, as Gmail's settings
    may have it."""

    greeting: bytes
    wrong: bytes
    throttled: bytes
    capabilities: tuple[bytes, ...] | None = (b"USER", b"UIDL", b"TOP")
    throttled_at: Literal["greeting", "PASS", "LIST"] = "PASS"
    poison: bytes = b"-ERR cannot retrieve this message"
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Personality:
    """`before`, `after`: capabilities before and after the login; `tells`: how the latter are told.
    `folders`: flags by name besides INBOX. `wrong`, `throttled`: text behind the tag, status first.
    `sources`: by what they show."""

    name: str
    title: str
    sources: Mapping[str, str]
    greeting: bytes
    before: bytes
    after: bytes
    wrong: bytes
    throttled: bytes
    throttled_at: Literal["LOGIN", "EXAMINE", "greeting"] = "LOGIN"
    tells: Literal["untagged", "code", "asked"] = "asked"
    namespace: bytes = b'(("" "/")) NIL NIL'
    delimiter: bytes = b"/"
    inbox: bytes = b"INBOX"
    folders: Mapping[bytes, bytes] = field(default_factory=dict)
    poison: Poison = "no"
    poisoned: bytes = b"NO Some messages could not be FETCHed (Failure)"
    goodbye: bytes = b"* BYE logging out"
    logged_in: bytes = b"OK done"
    quirks: frozenset[str] = frozenset()
    """needs-id: EXAMINE is refused until ID came; no-sasl-ir: an initial response is BAD although
    it is offered; login-only, sasl-only: one way of logging in works; spaced: two spaces behind the
    star; unquoted: LIST does not quote; lone-lf: tagged lines end with a lone LF; no-text: a code
    stands without a text; lower: lower case."""
    starttls: bool = False
    pop3: Pop3 | None = None

    @property
    def idles(self) -> bool:
        return b"IDLE" in self.after.upper().split()
