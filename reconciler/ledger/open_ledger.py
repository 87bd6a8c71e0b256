"""Open a ledger. It is made where there is none, and updated where an older version wrote it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, make_url
from sqlalchemy.engine import URL

from reconciler.disk import obstacle, sync_names
from reconciler.ledger import database_dialects
from reconciler.ledger.collector_records import CollectorRecords
from reconciler.ledger.database_errors import LedgerAbsent, translated_errors, without_password
from reconciler.ledger.last_good_records import LastGoodRecords
from reconciler.ledger.lease import Lease
from reconciler.ledger.ledger_audit import LedgerAudit
from reconciler.ledger.message_records import MessageRecords
from reconciler.ledger.mount_records import MountRecords
from reconciler.ledger.orphaned_messages import OrphanedMessages
from reconciler.ledger.session_records import SessionRecords
from reconciler.ledger.tables import REVISIONS, metadata, stamp
from reconciler.ledger.undelivered_messages import UndeliveredMessages
from reconciler.model.errors import LedgerUnavailable
from reconciler.mounts import missing_mount


class SqlLedger(
    Lease,
    MessageRecords,
    OrphanedMessages,
    CollectorRecords,
    UndeliveredMessages,
    LastGoodRecords,
    SessionRecords,
    LedgerAudit,
    MountRecords,
):
    """The ledger and the registry of `model.interfaces`, in one SQL database. Thread-safe."""


def open_ledger(url: str, *, create: bool = True) -> SqlLedger:
    """Open the ledger at `url`, `sqlite:///relative/path` or `sqlite:////absolute/path`.

    With `create` it is opened for writing. A missing ledger is made (mode 0600), its directory too
    (0700). An older one is updated. Without `create` it is opened for reading. Raises LedgerAbsent
    where there is none, and LedgerUnavailable where it cannot be used.
    """
    with translated_errors("at the URL of --state"):
        where = make_url(url)
    title = (
        str(database_dialects.file(where))
        if where.get_backend_name() == "sqlite"
        else without_password(where)
    )
    with translated_errors(title):
        if where.get_backend_name() == "sqlite":
            _ensure_file(where, title, create)
        engine = database_dialects.engine(where, writable=create)
        try:
            _ensure_current(engine, where, title, create)
        except BaseException:
            engine.dispose()
            raise
    return SqlLedger(engine, title, database_dialects.file(where) if create else None)


def _ensure_file(where: URL, title: str, create: bool) -> None:
    """Make the ledger where there is none. Raises LedgerAbsent without `create`."""
    path = database_dialects.file(where)
    _require_files(path)
    try:
        if path.exists():
            return
        if not create:
            raise LedgerAbsent(f"there is no ledger at {title}: nothing has run here yet")
        _require_mounted(path, title)
        _ensure_directory(path.parent)
        _build(where, path)
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger {title} cannot be made: {error.strerror}; give its directory to the user "
            "that runs mailcollector, or name another with --state-dir"
        ) from error


def _require_files(path: Path) -> None:
    """Check that nothing but files stands where the ledger and its log are. Raises
    LedgerUnavailable."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        part = path.with_name(f"{path.name}{suffix}")
        if what := obstacle(part, follow=not suffix):
            raise LedgerUnavailable(
                f"the ledger {path} cannot be opened: {part.name} is {what}, not a file; remove "
                "it, or name another ledger with --state"
            )


def _require_mounted(path: Path, title: str) -> None:
    """Check that no disk above a new ledger is missing. The new ledger would count everything as
    new, and the next mount would hide it. Raises LedgerUnavailable."""
    missing = missing_mount(os.path.realpath(path.parent))
    if missing is not None:
        raise LedgerUnavailable(
            f"there is no ledger at {title}, and /etc/fstab has a file system for {missing}, where "
            "none is mounted: mount it; or name another directory with --state-dir"
        )


def _ensure_directory(directory: Path) -> None:
    """Make the directory and its missing parents durably, 0700 whatever the umask is."""
    if directory.is_dir():
        return
    _ensure_directory(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(0o700)
        directory.chmod(0o700)
    sync_names(directory.parent)


def _build(where: URL, path: Path) -> None:
    """Make the ledger under another name, then link it to `path`.

    So there is never half a ledger. Of two programs that make it at once, one wins, and both go on
    with that ledger.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        draft.chmod(0o600)  # SQLite gives its -wal and -shm the same mode
        engine = database_dialects.engine(where.set(database=str(draft)))
        with engine.execution_options(**{database_dialects.WRITES: True}).begin() as connection:
            _make(connection)
        # Closing the last connection moves everything from the WAL into the file, and syncs it.
        engine.dispose()
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        sync_names(path.parent)
    finally:
        draft.unlink()


def _ensure_current(engine: Engine, where: URL, title: str, create: bool) -> None:
    with engine.begin() as connection:
        if _is_current(connection, title):
            return
    if not create:
        raise LedgerUnavailable(
            f"the ledger {title} was written by an older version: `mailcollector run` updates it"
        )
    with _migrating(where) as connection:
        if not _is_current(connection, title):  # another program may have been faster
            _update(connection)


@contextlib.contextmanager
def _migrating(where: URL) -> Iterator[Connection]:
    """Begin a transaction in which tables may be replaced."""
    engine = database_dialects.engine(where, foreign_keys=False)
    try:
        with engine.execution_options(**{database_dialects.WRITES: True}).begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _is_current(connection: Connection, title: str) -> bool:
    """Return whether the ledger has the schema of this version. Raises LedgerUnavailable where it
    is newer, or no ledger."""
    version = _version(connection)
    if version is None and inspect(connection).get_table_names():
        raise LedgerUnavailable(
            f"{title} is a database of something else; name another file with --state"
        )
    if version is not None and version not in REVISIONS:
        raise LedgerUnavailable(
            f"the ledger {title} was written by a newer version of mailcollector (its schema is "
            f"{version}, this one knows {REVISIONS[-1]}): run that version, or name another file "
            "with --state"
        )
    return version == REVISIONS[-1]


def _version(connection: Connection) -> str | None:
    """Return the number of the ledger's schema; None for a database without one."""
    if not inspect(connection).has_table(stamp.name):
        return None
    return connection.execute(stamp.select()).scalar()


def _make(connection: Connection) -> None:
    metadata.create_all(connection)
    stamp.create(connection)
    connection.execute(stamp.insert().values(version_num=REVISIONS[-1]))


def _update(connection: Connection) -> None:
    if _version(connection) is None:
        _make(connection)
    else:
        # Alembic takes long to load, and is hardly ever needed.
        from reconciler.ledger import migration  # noqa: PLC0415

        migration.upgrade(connection)
