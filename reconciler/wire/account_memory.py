"""What sessions with an account have learnt and the next one may go by: how logging in works there,
and what the server does not understand although it offers it.

Kept in memory: it is worth one refused login after a start, not a row that has to be migrated, and
an account that is edited or a server that was replaced is forgotten with the process at the latest.
"""

from __future__ import annotations

from threading import Lock

_MOST = 50_000


class AccountMemory:
    """Of one account. Read and changed by the sessions of that account, field by field."""

    __slots__ = (
        "broken",
        "initial_response",
        "mute",
        "one_by_one",
        "short",
        "singly",
        "sizeless",
        "tried",
        "tried_with",
        "unsearchable",
        "unsized",
        "wary",
        "way",
        "went_on",
        "where_it_broke",
    )

    def __init__(self) -> None:
        self.way = ""
        """The way of logging in that worked last."""
        self.where_it_broke: frozenset[str] = frozenset()
        """The ways of logging in during which the connection ended, and none has worked since."""
        self.went_on = False
        """That was followed by another connection at once, which is done only once."""
        self.initial_response = True
        """Initial responses (RFC 4959) are understood, where they are offered."""
        self.one_by_one = False
        """The server answers pipelined commands wrongly."""
        self.wary = False
        """`one_by_one` only because the server closed while such commands were under way."""
        self.sizeless = self.singly = False
        """POP3: LIST, or UIDL, ends the connection where all messages are asked for."""
        self.mute: frozenset[tuple[str, int | None]] = frozenset()
        """POP3: the messages whose UIDL ends the connection, by the UIDL of the one before and
        their size."""
        self.unsized: dict[tuple[str, int], frozenset[int]] = {}
        """By folder and UIDVALIDITY, the messages whose size ends the connection when it is asked
        for."""
        self.broken: frozenset[str] = frozenset()
        """IMAP: the folders that ended the connection when they were opened or listed last: to be
        looked at last."""
        self.short: dict[tuple[str, int], tuple[int, int]] = {}
        """IMAP: of folders of which the server lists fewer messages than it announces, in whatever
        way it is asked: how many it announced, and how many came."""
        self.unsearchable = False
        """A SEARCH has ended the connection."""
        self.tried: frozenset[str] = frozenset()
        """The ways that were refused with `tried_with`, the hash of a secret."""
        self.tried_with = 0


class AccountMemories:
    """The habits of every account, by any text that tells accounts apart. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._habits: dict[str, AccountMemory] = {}

    def of(self, account: str) -> AccountMemory:
        with self._lock:
            if account not in self._habits and len(self._habits) >= _MOST:
                self._habits.clear()  # it costs a login each
            return self._habits.setdefault(account, AccountMemory())
