"""What was said on the wire in a session or a check, without secrets and without messages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Direction(StrEnum):
    """Who said a line."""

    SENT = "sent"
    RECEIVED = "received"
    NOTE = "note"
    """It is about the connection: it began, or was lost."""
    OMITTED = "omitted"
    """Here `count` lines were not kept."""


class DialogueLine(Struct, frozen=True):
    """One line, `at` seconds after the beginning. `connection` is its protocol."""

    at: float
    connection: str
    direction: Direction
    text: str
    count: int = 0


RUNNING = "running"
"""The outcome of what is not over yet."""


class SessionDialogue(Struct, frozen=True):
    """The dialogue of one session, check or push connection, which `what` says: `session`, `check`
    or `push`. `reason` and `message` are those of its error, empty without one. `finished_at` is
    None while it runs."""

    what: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    reason: str
    message: str
    lines: tuple[DialogueLine, ...]

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"
