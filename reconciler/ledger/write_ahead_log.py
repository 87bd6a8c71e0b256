"""Notices that the ledger's write-ahead log (its `-wal`) was removed, replaced or cut while it is
open.

What was committed last stands in the log alone. SQLite looks at the log's path only when it opens
it, and finds a cut one only when it needs a page of it. How long the log is, it keeps in the index
of the log (`-shm`): <https://www.sqlite.org/walformat.html>, section 2.1.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HEADER = struct.Struct("=8xIBBHI")
"""The format of the index: a counter, whether it is initialised, the byte order of checksums, the
octets of a page (1: 65536), and the number of frames that are valid."""
_LOG_HEADER, _FRAME_HEADER = 32, 24
"""Octets of the log before its first frame, and of a frame before its page."""


class WriteAheadLog:
    """The log of one ledger. `remember` and `damage` are called by one thread at a time, and never
    while this process writes."""

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_name(f"{ledger.name}-wal")
        self._index_path = ledger.with_name(f"{ledger.name}-shm")
        self._identity: tuple[int, int] | None = None
        """Device and inode of the log that is open; None while none is known to be."""
        self._index = -1
        """A descriptor of the index. It stays open for as long as SQLite has the file open, because
        to close it would drop SQLite's locks on it (fcntl(2))."""

    def remember(self) -> None:
        """Remember the log that is open, after a first commit."""
        if self._identity is None:
            with suppress(OSError):
                found = self.path.stat()
                self._index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._identity = found.st_dev, found.st_ino

    def damage(self) -> str:
        """Return a description of what happened to the log; "" if it is as it was left."""
        if self._identity is None:
            return ""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return "removed"
        except OSError as error:
            return f"made unreadable ({error.strerror})"
        if (found.st_dev, found.st_ino) != self._identity:
            return "replaced"
        return "cut" if found.st_size < self._length() else ""

    def _length(self) -> int:
        """Return the octets that the log must have at least."""
        header = os.pread(self._index, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return 0
        _, initialised, _, page, frames = _HEADER.unpack(header)
        if not initialised or not frames:
            return 0
        return int(_LOG_HEADER + frames * (_FRAME_HEADER + (65536 if page == 1 else page)))

    @contextmanager
    def kept_where_cut(self) -> Iterator[None]:
        """Keep a cut log while SQLite closes it. SQLite would move the rest of a cut log into the
        ledger, and so damage the ledger. So it finds no log, and the log is put back afterwards.
        The next process that opens it reads it up to the last whole transaction."""
        if self.damage() != "cut":
            yield
            return
        aside = self.path.with_name(f"{self.path.name}.cut")
        shutil.copyfile(self.path, aside)
        os.truncate(self.path, 0)
        try:
            yield
        finally:
            aside.replace(self.path)

    def forget(self) -> None:
        """Forget the log, after SQLite has closed it."""
        self._identity = None
        if self._index >= 0:
            os.close(self._index)
            self._index = -1
