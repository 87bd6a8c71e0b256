"""Accounts, folders and messages in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Message:
    """`uid` is a message's number in its folder, never used again; `content` has the line ends of
    the wire (CRLF)."""

    uid: int
    content: bytes
    arrived: datetime
    flags: set[str] = field(default_factory=set)


class Folder:
    """Its messages in the order of their arrival; every method may be called from any thread."""

    def __init__(self) -> None:
        self.validity = int(time.time())
        self._next = 1
        self._messages: list[Message] = []
        self._lock = threading.Lock()

    def add(self, contents: Iterable[bytes]) -> None:
        """`contents` with line ends of either kind."""
        with self._lock:
            for content in contents:
                on_wire = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                self._messages.append(Message(self._next, on_wire, datetime.now(UTC)))
                self._next += 1

    def look(self) -> tuple[list[Message], int]:
        """What is there now, and the UID that comes next."""
        with self._lock:
            return list(self._messages), self._next

    def remove(self, uids: Iterable[int]) -> list[int]:
        """Those of them that were there."""
        gone = set(uids)
        with self._lock:
            removed = [message.uid for message in self._messages if message.uid in gone]
            self._messages = [message for message in self._messages if message.uid not in gone]
        return removed


class Store:
    """Every user name logs in with the same password; an account is made when it is first asked
    for."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._accounts: dict[str, dict[str, Folder]] = {}
        self._lock = threading.Lock()

    def admits(self, password: str) -> bool:
        return password == self._password

    def folders(self, user: str) -> dict[str, Folder]:
        """By name, with `/` between the levels; always with INBOX."""
        with self._lock:
            return dict(self._accounts.setdefault(user, {"INBOX": Folder()}))

    def folder(self, user: str, name: str) -> Folder:
        """That folder, made where it is missing."""
        self.folders(user)
        with self._lock:
            return self._accounts[user].setdefault(name, Folder())
