"""Accounts, folders and messages in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Message:
    """A message. `uid` is unique in its folder for ever. `content` has CRLF line ends."""

    uid: int
    content: bytes
    arrived: datetime
    flags: set[str] = field(default_factory=set)


class Folder:
    """A folder, with messages in the order of their arrival. Thread-safe."""

    def __init__(self) -> None:
        self.validity = int(time.time())
        self._next = 1
        self._messages: list[Message] = []
        self._lock = threading.Lock()

    def add(self, contents: Iterable[bytes]) -> None:
        """Add messages with CRLF or LF line ends."""
        with self._lock:
            for content in contents:
                on_wire = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                self._messages.append(Message(self._next, on_wire, datetime.now(UTC)))
                self._next += 1

    def look(self) -> tuple[list[Message], int]:
        """Return the present messages and the next UID."""
        with self._lock:
            return list(self._messages), self._next

    def remove(self, uids: Iterable[int]) -> list[int]:
        """Remove messages. Return the UIDs of those that existed."""
        gone = set(uids)
        with self._lock:
            removed = [message.uid for message in self._messages if message.uid in gone]
            self._messages = [message for message in self._messages if message.uid not in gone]
        return removed


class Store:
    """All accounts. They have the same password and are created when they are first used."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._accounts: dict[str, dict[str, Folder]] = {}
        self._lock = threading.Lock()

    def admits(self, password: str) -> bool:
        """Return whether this is the password."""
        return password == self._password

    def folders(self, user: str) -> dict[str, Folder]:
        """Return an account's folders by name, with `/` between the levels. INBOX always exists."""
        with self._lock:
            return dict(self._accounts.setdefault(user, {"INBOX": Folder()}))

    def folder(self, user: str, name: str) -> Folder:
        """Return a folder, which is created if necessary."""
        self.folders(user)
        with self._lock:
            return self._accounts[user].setdefault(name, Folder())
