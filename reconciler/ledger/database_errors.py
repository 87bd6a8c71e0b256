"""Database errors in plain words (hazard R5)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from reconciler.model.errors import LedgerUnavailable

_SENTENCES = {
    "SQLITE_BUSY": "is locked by another program; find it with `fuser` on the file, and let it finish",
    "SQLITE_LOCKED": "is locked by another program; find it with `fuser` on the file, and let it finish",
    "SQLITE_FULL": "cannot grow: the disk is full; make room on it",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_NOTADB": "is not a ledger, or is damaged; restore it from a backup, or name another file with --state",
    "SQLITE_READONLY": "cannot be written; check the permissions of the file and its directory, and the mount",
    "SQLITE_CANTOPEN": "cannot be opened; check the permissions of the file and its directory",
    "SQLITE_PERM": "cannot be opened; check the permissions of the file and its directory",
    "SQLITE_IOERR": "cannot be read or written: the disk fails; see the kernel's log",
}
_OTHER = "cannot be used"
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_LOOKED = 60.0
"""Seconds that what was found holds."""
_ROOM = 64 << 10
"""Octets that it needs to be opened: two pages of that index."""
_looked: dict[str, tuple[float, bool]] = {}
_looking = threading.Lock()


class LedgerAbsent(LedgerUnavailable):
    """There is no ledger yet, and none was to be made: nothing has run here."""


@contextmanager
def plainly(ledger: str) -> Iterator[None]:
    """Raise LedgerUnavailable for whatever the database raises inside; `ledger` is how it is called
    in the text. That a value cannot be kept is no fault of the database's: ValueError."""
    try:
        yield
    except DataError as error:
        raise ValueError(f"the ledger {ledger} cannot hold a value ({_cause(error)})") from None
    except SQLAlchemyError as error:
        sentence = _sentence(error)
        if _name(error).startswith("SQLITE_IOERR") and _is_full(ledger):
            sentence = _SENTENCES["SQLITE_FULL"]
        if _name(error).startswith(_DAMAGE) and _is_whole(ledger):
            sentence = "could not be read, but is not damaged: the disk fails now and then; see the kernel's log"
        raise LedgerUnavailable(f"the ledger {ledger} {sentence} ({_cause(error)})") from error


def refused(url: URL) -> str:
    """The ledger's URL as it may be shown."""
    return url.render_as_string(hide_password=True)


def _is_full(ledger: str) -> bool:
    """Where there is no room even for the index of its log, SQLite speaks of a disk that fails."""
    try:
        free = os.statvfs(Path(ledger).parent)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _ROOM or (free.f_files > 0 and free.f_favail == 0)


def _is_whole(ledger: str) -> bool:
    """SQLite takes one read that fails for damage: so its file is looked through before anybody
    restores a backup. A ledger that is no file is not looked at. Once a minute, for that takes as
    long as reading it."""
    if not Path(ledger).is_file():
        return False
    with _looking:
        at, whole = _looked.get(ledger, (0.0, False))
        if not at or time.monotonic() - at > _LOOKED:
            whole = _look_through(ledger)
            _looked[ledger] = time.monotonic(), whole
    return whole


def _look_through(path: str) -> bool:
    """Whether nothing wrong was found; what cannot be read says nothing."""
    try:
        # SQLite would take what fails here for damage
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            while file.read(1 << 20):
                pass
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except OSError:
        return True
    except sqlite3.DatabaseError as error:
        return not error.sqlite_errorname.startswith(_DAMAGE)


def _sentence(error: SQLAlchemyError) -> str:
    code = _name(error)
    return next((text for name, text in _SENTENCES.items() if code.startswith(name)), _OTHER)


def _name(error: SQLAlchemyError) -> str:
    """Such as SQLITE_IOERR_FSYNC."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def _cause(error: SQLAlchemyError) -> str:
    """Without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
