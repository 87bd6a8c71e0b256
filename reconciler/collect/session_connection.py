"""The session's connection to the server: when it is lost, and how often another one is made.

A session may make `RECONNECTIONS` more connections, and one more for each that brought
`PRODUCTIVE` messages. After the first loss, nothing is asked for ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic

from reconciler.collect.session_context import S, SessionContext
from reconciler.model.errors import (
    ConnectionFailed,
    FolderFailed,
    ProtocolViolation,
    SourceError,
    Throttled,
)
from reconciler.model.messages import Fetched, Listed, Pace

RECONNECTIONS = 20
"""Connections that a session may make besides the first one and those that were earned."""
PRODUCTIVE = 5
"""A connection that brought this number of messages earns another one."""
EARNED = 60
"""Connections that may be earned at most."""
DELETE_LOSSES = 3
"""Connections that may be lost in one call that deletes."""
_BREAKDOWNS = (ConnectionFailed, ProtocolViolation, Throttled)
"""Errors that end a connection in the middle of a command; one message may be the cause."""


class SessionConnection(Generic[S]):
    """The connection of one session, and the count of those that were lost."""

    def __init__(self, context: SessionContext[S]) -> None:
        self._context = context
        self.lost: SourceError | None = None
        """The error that ended the connection; None while it is usable."""
        self.in_step = True
        """Whether every reply was read, so that the server would understand QUIT or LOGOUT."""
        self.ended = False
        """Whether the connection was ended by QUIT or LOGOUT, so that the server deletes."""
        self.uncommitted: list[Listed] = []
        """Messages that the server deletes only at QUIT. A lost connection takes these deletes back
        (RFC 1939, section 6)."""
        self.last_fetched: type[Fetched] | None = None
        """The type of the last result over this connection: a message or a refusal. None without
        one."""
        self.was_reset = False
        """Whether the last connection was reset while several messages were requested."""
        self.fruitless = 0
        """The number of connections in a row that brought no message."""
        self.pace = Pace.AHEAD
        self.reconnections = 0
        self._earned = 0
        self._no_entry: SourceError | None = None
        """The error because of which no other connection can be made."""

    def ensure_connected(self) -> None:
        """Log in again if the connection is gone. Raises the error that ended it if that fails."""
        if self.lost is None and not self.ended:
            return
        self._context.check_stop()
        if self._no_entry is not None:
            raise self._no_entry
        if self.reconnections >= RECONNECTIONS + self._earned + DELETE_LOSSES:
            raise self.lost or ConnectionFailed("the session has made enough connections")
        lost, self.lost, self.ended, self.last_fetched = self.lost, None, False, None
        self.reconnections += 1
        self.pace = Pace.STEADY
        self._context.steering.another_login()
        try:
            self._context.source.reconnect()
        except (Throttled, FolderFailed) as error:
            self.lost = error
            self._no_entry = None if isinstance(error, FolderFailed) else error
            raise
        except SourceError as error:
            self.lost = self._no_entry = lost or error
            raise self.lost from None
        self.in_step = True

    @contextmanager
    def command(self) -> Iterator[None]:
        """Mark a command that the server may leave unanswered."""
        self.in_step = False
        yield
        self.in_step = True

    def note_loss(self, error: SourceError) -> None:
        """Note that `error` ended the connection; the next step that needs one makes another. Raise
        `error` where another connection would not help."""
        if self._context.steering.stopping or not isinstance(error, _BREAKDOWNS):
            raise error
        self.lost, self.uncommitted = error, []

    def count_messages(self, came: int) -> None:
        """Note how many messages the connection brought that was just lost."""
        self._earned += came >= PRODUCTIVE and self._earned < EARNED
        self.fruitless = 0 if came else self.fruitless + 1

    @property
    def may_go_on(self) -> bool:
        """Return whether fetching may make another connection."""
        return self.reconnections < RECONNECTIONS + self._earned
