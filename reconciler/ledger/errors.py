"""Database errors in plain words (hazard R5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


class LedgerAbsent(LedgerUnavailable):
    """There is no ledger yet, and none was to be made: nothing has run here."""


@contextmanager
def plainly(ledger: str) -> Iterator[None]:
    """Raise LedgerUnavailable for whatever the database raises inside; `ledger` is how it is called in the text. That a
    value cannot be kept is no fault of the database's: ValueError."""
    try:
        yield
    except DataError as error:
        raise ValueError(f"the ledger {ledger} cannot hold a value ({_cause(error)})") from None
    except SQLAlchemyError as error:
        raise LedgerUnavailable(f"the ledger {ledger} {_sentence(error)} ({_cause(error)})") from error


def refused(url: URL) -> str:
    """The ledger's URL as it may be shown."""
    return url.render_as_string(hide_password=True)


def _sentence(error: SQLAlchemyError) -> str:
    code = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))  # such as SQLITE_IOERR_FSYNC
    return next((text for name, text in _SENTENCES.items() if code.startswith(name)), _OTHER)


def _cause(error: SQLAlchemyError) -> str:
    """Without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
