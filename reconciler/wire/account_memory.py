"""Facts that the sessions of an account have learnt about its server.

It holds how to log in there, and what the server offers but does not handle. It is kept in memory
only: its loss costs one refused login after a start. An account that is edited, or a server that is
replaced, is forgotten with the process at the latest.
"""

from __future__ import annotations

from threading import Lock

from reconciler.wire.endpoint import Endpoint

_MOST = 50_000
"""Accounts that are remembered at once."""


class AccountMemory:
    """What is known about one account's server; its sessions read and change field by field."""

    __slots__ = (
        "broken_folders",
        "initial_response",
        "list_breaks",
        "methods_that_broke",
        "no_pipelining",
        "no_pipelining_after_close",
        "reconnected_after_break",
        "refused_methods",
        "refused_secret",
        "search_breaks",
        "short_folders",
        "uidl_breaks",
        "without_size",
        "without_uidl",
        "working_method",
    )

    def __init__(self) -> None:
        # Logging in
        self.working_method = ""
        """The login method that worked last."""
        self.methods_that_broke: frozenset[str] = frozenset()
        """The login methods during which the connection ended; empty once one has worked."""
        self.reconnected_after_break = False
        """A login that broke was repeated over a new connection, which is done only once."""
        self.initial_response = True
        """The server understands initial responses (RFC 4959), where it offers them."""
        self.refused_methods: frozenset[str] = frozenset()
        """The login methods that were refused with the secret of `refused_secret`."""
        self.refused_secret = 0
        """The hash of the secret that was refused."""

        # POP3
        self.no_pipelining = False
        """The server answers pipelined commands wrongly."""
        self.no_pipelining_after_close = False
        """`no_pipelining` was set only because the server closed during pipelined commands."""
        self.list_breaks = self.uidl_breaks = False
        """LIST, or UIDL, of all messages ends the connection."""
        self.without_uidl: frozenset[tuple[str, int | None]] = frozenset()
        """Messages whose UIDL ends the connection, as (UIDL of the message before, size)."""

        # IMAP
        self.without_size: dict[tuple[str, int], frozenset[int]] = {}
        """By folder and UIDVALIDITY: UIDs of messages whose size ends the connection."""
        self.broken_folders: frozenset[str] = frozenset()
        """Folders that ended the connection when last opened or listed; they come last."""
        self.short_folders: dict[tuple[str, int], tuple[int, int]] = {}
        """By folder and UIDVALIDITY: (messages announced, messages listed), where the server lists
        fewer than it announces however it is asked."""
        self.search_breaks = False
        """A SEARCH has ended the connection."""


class AccountMemories:
    """The memories of all accounts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._memories: dict[str, AccountMemory] = {}

    def of(self, protocol: str, username: str, endpoint: Endpoint) -> AccountMemory:
        """Return the memory of an account."""
        account = f"{protocol} {username} {endpoint}"
        with self._lock:
            if account not in self._memories and len(self._memories) >= _MOST:
                self._memories.clear()  # it costs a login each
            return self._memories.setdefault(account, AccountMemory())
