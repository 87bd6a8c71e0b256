"""Used one-time links, and sessions that were logged out of: they stay over after a restart.

The file has a line for each: when it would have ended anyway, and its random part. Lines are
appended, and the file is written anew when it has grown. They open nothing: they only say what is
closed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.disk import open_file, replace_file, write_all
from reconciler.log import log

FILE = "ended-logins"
"""The file's name in the state directory."""
_REMEMBERED = 10_000
"""Those that are remembered at most; the oldest are forgotten."""
_LIMIT = 4 << 20
"""Octets that are read of the file at most."""


class EndedLogins:
    """Remembers them in `path`. Without a path they are forgotten with the process. `clock` gives
    seconds since 1970."""

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._ended: dict[str, int] | None = None
        """The time when each would have ended anyway, oldest first. None before the file is
        read."""
        self._lines = 0

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._known()

    def add(self, nonce: str, lifetime: int) -> None:
        """Remember one for as long as it could be used. Where the file cannot be written, that is
        logged, and it is forgotten with the process."""
        known = self._known()
        known[nonce] = until = int(self._clock()) + lifetime
        while len(known) > _REMEMBERED:
            del known[next(iter(known))]
        if self._path is None:
            return
        try:
            self._append(self._path, f"\n{until} {nonce}")
        except OSError as error:
            log.warning("a login's end is not kept", error=error.strerror or "")

    def _append(self, path: Path, line: str) -> None:
        if self._lines > 2 * _REMEMBERED:
            self._rewrite(path)
            return
        file = open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            write_all(file, line.encode())
        finally:
            os.close(file)
        self._lines += 1

    def _rewrite(self, path: Path) -> None:
        now = int(self._clock())
        left = {nonce: until for nonce, until in self._known().items() if until > now}
        text = "".join(f"{until} {nonce}\n" for nonce, until in left.items())
        replace_file(path, text.encode())
        self._ended, self._lines = left, len(left)

    def _known(self) -> dict[str, int]:
        if self._ended is None:
            self._ended = self._read()
        return self._ended

    def _read(self) -> dict[str, int]:
        """Return what the file has. A line that is none was not written to its end."""
        if self._path is None:
            return {}
        try:
            with os.fdopen(open_file(self._path, os.O_RDONLY), "rb") as file:
                text = file.read()[-_LIMIT:].decode("ascii", "replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("the ended logins cannot be read", error=error.strerror or "")
            return {}
        lines, now = [line.split(" ") for line in text.splitlines()], self._clock()
        self._lines = len(lines)
        return {
            line[1]: int(line[0])
            for line in lines
            if len(line) == 2 and line[0].isdecimal() and int(line[0]) > now
        }
