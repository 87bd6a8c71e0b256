"""The steps of a process that somebody outside can see, and death at one of them.

Wrapped are the calls that every delivery comes down to, below all of our own code: the file
system's in `os`, the socket's, and SQLAlchemy's commit. A step is named by its kind and how many of
that kind came before it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.engine.default import DefaultDialect

from tests.crashes.power import cut

FILES = (
    "write",
    "sendfile",
    "fsync",
    "link",
    "unlink",
    "rename",
    "mkdir",
    "rmdir",
    "fchown",
    "fchmod",
)
_COMMAND = re.compile(
    rb"(?:[A-Z]+\d+ )?("
    rb"CAPA|UTF8|USER|PASS|AUTH|STAT|LIST|UIDL|RETR|DELE|QUIT|RSET|NOOP|LHLO|EHLO|MAIL|RCPT|DATA|CAPABILITY|AUTHENTICATE|"
    rb"LOGIN|ENABLE|ID|NAMESPACE|SELECT|EXAMINE|"
    rb"(?:UID )?(?:FETCH|SEARCH|STORE|EXPUNGE)|CLOSE|UNSELECT|LOGOUT)\b",
    re.IGNORECASE,
)
_TABLE = re.compile(r"\s*(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) \"?(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Death:
    """Where to die: before or after the `number`-th step of this kind, counted from 1. `power`:
    directories of the file systems whose power is cut first."""

    kind: str
    number: int
    when: Literal["before", "after"]
    power: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.when} {self.kind} #{self.number}"


class Edge:
    """Counts the steps of this process from `install` on, and ends it at `death`."""

    def __init__(self, death: Death | None) -> None:
        self.steps: Counter[str] = Counter()
        self._death = death
        self._lock = threading.Lock()
        self._asked: dict[int, str] = {}
        self._written: dict[int, str] = {}
        self._disks = [os.open(disk, os.O_RDONLY) for disk in death.power] if death else []

    def install(self) -> None:
        for name in FILES:
            setattr(
                os,
                name,
                self._wrapped(
                    getattr(os, name), lambda *args, name=name, **_: _file_step(name, args)
                ),
            )
        os.open = self._wrapped(os.open, _creation)
        for name in ("send", "sendall"):
            setattr(socket.socket, name, self._wrapped(getattr(socket.socket, name), self._sending))
        for name in ("recv", "recv_into"):
            setattr(socket.socket, name, self._receiving(getattr(socket.socket, name)))
        self._watch_commits()

    def _wrapped(self, real: Callable[..., Any], kind_of: Callable[..., str]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            kind = kind_of(*args, **kwargs)
            return (
                self._step(kind, lambda: real(*args, **kwargs)) if kind else real(*args, **kwargs)
            )

        return wrapped

    def _step(self, kind: str, act: Callable[[], Any]) -> Any:
        with self._lock:
            self.steps[kind] += 1
            number = self.steps[kind]
        self._perhaps_die(kind, number, "before")
        result = act()
        self._perhaps_die(kind, number, "after")
        return result

    def _perhaps_die(self, kind: str, number: int, when: str) -> None:
        death = self._death
        if death and (death.kind, death.number, death.when) == (kind, number, when):
            cut(self._disks)
            os.kill(os.getpid(), signal.SIGKILL)

    # -- the network

    def _sending(self, opened: socket.socket, data: bytes, *_: Any) -> str:
        if opened.family not in (socket.AF_INET, socket.AF_INET6):
            return ""
        self._asked[opened.fileno()] = command = _command(bytes(data))
        return f"send {command}"

    def _receiving(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The first octets of each answer are a step."""

        def wrapped(opened: socket.socket, *args: Any) -> Any:
            asked = (
                self._asked.pop(opened.fileno(), "")
                if opened.family in (socket.AF_INET, socket.AF_INET6)
                else ""
            )
            return (
                self._step(f"answer to {asked}", lambda: real(opened, *args))
                if asked
                else real(opened, *args)
            )

        return wrapped

    # -- the ledger

    def _watch_commits(self) -> None:
        """A commit is named by the table of messages if its transaction wrote that, else by the
        first that it wrote; one that wrote nothing is no step."""
        for name in ("do_execute", "do_executemany"):
            setattr(DefaultDialect, name, self._noting(getattr(DefaultDialect, name)))
        commit: Callable[..., None] = DefaultDialect.do_commit

        def do_commit(dialect: DefaultDialect, connection: Any) -> None:
            table = self._written.pop(id(connection.driver_connection), "")
            if table:
                self._step(f"commit {table}", lambda: commit(dialect, connection))
            else:
                commit(dialect, connection)

        DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]

    def _noting(self, execute: Callable[..., None]) -> Callable[..., None]:
        def noting(dialect: DefaultDialect, cursor: Any, statement: str, *rest: Any) -> None:
            if found := _TABLE.match(statement):
                self._written.setdefault(id(cursor.connection), found[1])
                if found[1] == "messages":
                    self._written[id(cursor.connection)] = found[1]
            execute(dialect, cursor, statement, *rest)

        return noting


def _file_step(name: str, args: tuple[Any, ...]) -> str:
    if name == "fsync":
        return f"fsync {'directory' if stat.S_ISDIR(os.fstat(args[0]).st_mode) else 'file'}"
    return name


def _creation(*args: Any, **_: Any) -> str:
    return "create" if len(args) > 1 and args[1] & os.O_CREAT else ""


def _command(data: bytes) -> str:
    if data.endswith(b"\r\n.\r\n"):
        return "dot"
    found = _COMMAND.match(data)
    return found[1].decode().upper() if found else "data"
