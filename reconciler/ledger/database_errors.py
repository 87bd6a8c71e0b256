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

_LOCKED = "is locked by another program; find it with `fuser` on the file, and let it finish"
_SENTENCES = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": "cannot grow: the disk is full; make room on it",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_NOTADB": (
        "is not a ledger, or is damaged; restore it from a backup, or name another file with "
        "--state"
    ),
    "SQLITE_READONLY": (
        "cannot be written; check the permissions of the file and its directory, and the mount"
    ),
    "SQLITE_CANTOPEN": "cannot be opened; check the permissions of the file and its directory",
    "SQLITE_PERM": "cannot be opened; check the permissions of the file and its directory",
    "SQLITE_IOERR": "cannot be read or written: the disk fails; see the kernel's log",
}
"""A sentence about the error, by the beginning of SQLite's name for it."""
_OTHER = "cannot be used"
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_CHECK_HOLDS = 60.0
"""Seconds for which the result of a check of a ledger's file is used again."""
_ROOM = 64 << 10
"""Octets of free space that SQLite needs to open a ledger: two pages of the index of its WAL."""
_checks: dict[str, tuple[float, bool]] = {}
"""By ledger: when its file was checked, and whether it was whole."""
_checking = threading.Lock()


class LedgerAbsent(LedgerUnavailable):
    """There is no ledger yet, and none was to be made: nothing has run here so far."""


@contextmanager
def translated_errors(ledger: str) -> Iterator[None]:
    """Raise LedgerUnavailable for errors of the database inside. `ledger` names it in the text.

    A value that the database cannot hold is not the database's fault: ValueError.
    """
    try:
        yield
    except DataError as error:
        raise ValueError(f"the ledger {ledger} cannot hold a value ({_cause(error)})") from None
    except SQLAlchemyError as error:
        sentence = _sentence(error)
        if _name(error).startswith("SQLITE_IOERR") and _is_full(ledger):
            sentence = _SENTENCES["SQLITE_FULL"]
        if _name(error).startswith(_DAMAGE) and _is_whole(ledger):
            sentence = (
                "could not be read, but is not damaged: the disk fails now and then; see the "
                "kernel's log"
            )
        raise LedgerUnavailable(f"the ledger {ledger} {sentence} ({_cause(error)})") from error


def without_password(url: URL) -> str:
    """Return the ledger's URL without its password."""
    return url.render_as_string(hide_password=True)


def _is_full(ledger: str) -> bool:
    """Return whether the disk is full. Without room for the index of its WAL, SQLite reports an I/O
    error instead."""
    try:
        free = os.statvfs(Path(ledger).parent)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _ROOM or (free.f_files > 0 and free.f_favail == 0)


def _is_whole(ledger: str) -> bool:
    """Return whether the ledger's file is whole, by a check once a minute at most. False for a
    ledger that is no file.

    SQLite reports damage where a single read failed. Without this check, somebody would restore a
    backup in vain. The check takes as long as reading the file.
    """
    if not Path(ledger).is_file():
        return False
    with _checking:
        at, whole = _checks.get(ledger, (0.0, False))
        if not at or time.monotonic() - at > _CHECK_HOLDS:
            whole = _check(ledger)
            _checks[ledger] = time.monotonic(), whole
    return whole


def _check(path: str) -> bool:
    """Return whether no damage was found. A file that cannot be read counts as whole."""
    try:
        # Read it first: SQLite would report an error of the disk as damage.
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
    """Return SQLite's name of the error, such as SQLITE_IOERR_FSYNC; empty where it has none."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))


def _cause(error: SQLAlchemyError) -> str:
    """Return the driver's words, without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
