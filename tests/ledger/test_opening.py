"""Making, finding, updating and refusing a ledger (hazard R5), and its files' permissions (hazard
S5)."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url
from sqlalchemy.exc import DatabaseError

from reconciler import mounts
from reconciler.ledger import (
    LedgerAbsent,
    SqlLedger,
    database_dialects,
    database_errors,
    migration,
    open_ledger,
)
from reconciler.ledger.tables import REVISIONS, metadata
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import Alert
from tests.crashes.power import Disk
from tests.ledger.samples import INBOX, NOW, collected, declare


@pytest.fixture
def path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture(params=[0o000, 0o077, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_D13_a_new_ledger_and_its_directory_are_durable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each name is made before the directory that holds it is synced."""
    path = tmp_path / "new" / "ledger.sqlite3"
    synced: list[tuple[Path, bool, bool]] = []

    def noted(descriptor: int) -> None:
        directory = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((directory, path.parent.exists(), path.exists()))

    monkeypatch.setattr(os, "fsync", noted)
    open_ledger(f"sqlite:///{path}").close()
    assert synced == [(tmp_path, True, False), (path.parent, True, True)]


def test_S5_files_are_private_whatever_the_umask(umask: None, tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/new/state/ledger.sqlite3")
    declare(ledger, "sales", "digest", "new-keep", NOW)

    made = sorted((tmp_path / "new").rglob("*"))
    assert [path.name for path in made] == [
        "state",
        "ledger.sqlite3",
        "ledger.sqlite3-shm",
        "ledger.sqlite3-wal",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700, 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    ledger.close()


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_L9_it_is_safe_over_a_power_cut(ledger: SqlLedger) -> None:
    with ledger.reading() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "journal_size_limit")
        ]
    assert pragmas == ["wal", 2, 1, 64 << 20]


def test_only_a_note_waits_for_no_disk_and_the_next_commit_does(ledger: SqlLedger) -> None:
    full, normal = 2, 1
    for transaction, expected in (
        (ledger.writing_unsynced, normal),
        (ledger.writing, full),
        (ledger.writing_unsynced, normal),
    ):
        with transaction() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == expected


def test_reading_only_makes_nothing(url: str, path: Path) -> None:
    with pytest.raises(LedgerAbsent, match="nothing has run here yet"):
        open_ledger(url, create=False)
    assert not path.parent.exists()


def test_reading_only_reads_what_a_closed_or_running_daemon_wrote(url: str) -> None:
    with_daemon = open_ledger(url)
    declare(with_daemon, "sales", "digest", "new-keep", NOW)
    with_daemon.record("sales", INBOX, [collected("1")], NOW)
    reader = open_ledger(url, create=False)
    assert list(reader.known("sales", INBOX)) == ["1"]
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        reader.clear("sales", NOW)
    reader.close()
    with_daemon.close()

    reader = open_ledger(url, create=False)
    assert reader.histories()["sales"].size == 1
    reader.close()


@pytest.mark.parametrize("name", ["with space", "100%", "a?b#c", "почта"])
def test_any_directory_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "ledger.sqlite3"
    url = make_url("sqlite://").set(database=str(path)).render_as_string()
    open_ledger(url).close()
    assert path.is_file()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://user:secret@db/mail", "SQLite only"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("ledger.sqlite3", "cannot be used"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, says: str) -> None:
    with pytest.raises(LedgerUnavailable, match=says) as caught:
        open_ledger(url)
    assert "secret" not in str(caught.value)


def test_programs_that_make_it_at_once_end_with_one_ledger(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        pool.map(_declare, [(url, f"c{number}") for number in range(3)])

    ledger = open_ledger(url)
    assert sorted(ledger.histories()) == ["c0", "c1", "c2"]
    ledger.close()


def _declare(arguments: tuple[str, str]) -> None:
    url, name = arguments
    ledger = open_ledger(url)
    declare(ledger, name, "digest", "new-keep", NOW)
    ledger.close()


def test_a_fresh_ledger_needs_no_alembic(url: str) -> None:
    program = f"""import sys
from reconciler.ledger import open_ledger
open_ledger({url!r})
open_ledger({url!r})
print([name for name in sys.modules if name.startswith("alembic")])"""
    assert (
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout
        == "[]\n"
    )


def test_migrating_from_nothing_gives_the_tables_of_today(
    url: str, path: Path, tmp_path: Path
) -> None:
    open_ledger(url).close()
    migrated = tmp_path / "migrated.sqlite3"
    migrated.touch()
    engine = database_dialects.engine(make_url(f"sqlite:///{migrated}"), foreign_keys=False)
    with engine.begin() as connection:
        migration.upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()

    assert _tables(migrated) == _tables(path)


def _tables(path: Path) -> set[str]:
    """The statements that make them, however they are laid out."""
    connection = sqlite3.connect(path)
    statements = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    ).fetchall()
    connection.close()
    return {
        " ".join(sorted(sql.replace("(", " ").replace(")", " ").replace(",", " ").split()))
        for name, sql in statements
        if name != "alembic_version"
    }


def test_the_program_knows_every_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "reconciler.ledger:migrations")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == REVISIONS


def test_an_older_ledger_is_updated_where_writing_is_meant(url: str, path: Path) -> None:
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        ledger.record("sales", INBOX, [collected("1")], NOW)
    today = _tables(path)
    _execute(path, "DROP TABLE leases")
    _execute(path, "DROP TABLE mounts")
    for column in ("maildirs_accepted_at", "first_name", "retired_for", "alerts", "retry_asked"):
        _execute(path, f"ALTER TABLE collectors DROP COLUMN {column}")
    _execute(path, "ALTER TABLE messages DROP COLUMN wait")
    _execute(path, "UPDATE alembic_version SET version_num = '0001'")

    with pytest.raises(LedgerUnavailable, match="older version"):
        open_ledger(url, create=False)
    open_ledger(url).close()
    with closing(open_ledger(url)) as ledger:
        ledger.take()
        assert ledger.known("sales", INBOX).keys() == {"1"}
    assert _tables(path) == today


def test_alerts_outlast_the_process(url: str) -> None:
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        assert ledger.alerts("sales") == ()
        ledger.keep_alerts("sales", [Alert("the quota is nearly used up", NOW)])
    with closing(open_ledger(url)) as ledger:
        assert (
            ledger.alerts("sales")
            == ledger.histories()["sales"].alerts
            == (Alert("the quota is nearly used up", NOW),)
        )


def test_an_empty_file_becomes_a_ledger(url: str, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    ledger = open_ledger(url)
    assert ledger.histories() == {}
    ledger.close()


def test_R5_a_newer_ledger_is_refused(url: str, path: Path) -> None:
    open_ledger(url).close()
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(LedgerUnavailable, match="newer version"):
        open_ledger(url)


def test_R5_a_database_of_something_else_is_refused(url: str, path: Path) -> None:
    path.parent.mkdir()
    _execute(path, "CREATE TABLE songs (title)")

    with pytest.raises(LedgerUnavailable, match="something else"):
        open_ledger(url)


def test_R5_a_corrupt_ledger_is_refused(url: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(LedgerUnavailable, match="is not a ledger, or is damaged"):
        open_ledger(url)


def test_R5_a_ledger_damaged_inside_is_told(ledger: SqlLedger, url: str, path: Path) -> None:
    for batch in range(20):
        ledger.record("sales", INBOX, [collected(f"{batch}-{key}") for key in range(100)], NOW)
    ledger.close()
    damaged = bytearray(path.read_bytes())
    damaged[20 * 4096 :] = random.Random(5).randbytes(len(damaged) - 20 * 4096)
    path.write_bytes(damaged)

    opened = open_ledger(url)
    with pytest.raises(LedgerUnavailable, match="is damaged"):
        dict(opened.known("sales", INBOX))
    opened.close()


def _told_of_damage(path: Path) -> str:
    """What is said when SQLite calls the ledger damaged."""
    damage = sqlite3.DatabaseError("database disk image is malformed")
    damage.sqlite_errorname = "SQLITE_CORRUPT"
    with pytest.raises(LedgerUnavailable) as caught, database_errors.translated_errors(str(path)):
        raise DatabaseError("SELECT 1", None, damage)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [("disk I/O error\nmore", "disk I/O error"), ("", "OperationalError"), ("odd", "odd")],
)
def test_R5_an_error_of_the_database_is_told_in_its_own_words(
    path: Path, words: str, told: str
) -> None:
    error = sqlite3.OperationalError(words)
    with pytest.raises(LedgerUnavailable) as caught, database_errors.translated_errors(str(path)):
        raise DatabaseError("SELECT 1", None, error)
    assert told in str(caught.value)
    assert "SELECT" not in str(caught.value)
    assert "more" not in str(caught.value)


def test_R5_where_there_is_no_file_to_look_through_the_database_is_believed(path: Path) -> None:
    assert "is damaged; restore it from a backup" in _told_of_damage(path)


def test_M13_a_ledger_is_looked_through_once_a_minute(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [5000.0]
    monkeypatch.setattr(database_errors, "time", SimpleNamespace(monotonic=lambda: now[0]))
    open_ledger(url).close()
    assert "is not damaged" in _told_of_damage(path)
    path.write_bytes(b"not a database" * 1000)
    now[0] += 60
    assert "is not damaged" in _told_of_damage(path)
    now[0] += 0.5
    assert "is damaged; restore it from a backup" in _told_of_damage(path)


def test_R5_of_many_wrong_rows_a_hundred_are_told(ledger: SqlLedger, path: Path) -> None:
    assert ledger.damage() == []
    with closing(sqlite3.connect(path)) as other, other:
        other.executemany(
            "INSERT INTO deliveries VALUES (?, 'nobody', 'nothing', 0)",
            [(number,) for number in range(4000, 4101)],
        )
    told = "a row of deliveries refers to a row of messages that is not there"
    assert ledger.damage() == [told] * 100


def test_R5_a_locked_ledger_is_told(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_dialects, "LOCK_WAIT", 0.05)
    ledger = open_ledger(url)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerUnavailable, match="locked by another program"):
        declare(ledger, "sales", "digest", "new-keep", NOW)

    other.execute("ROLLBACK")
    other.close()
    declare(ledger, "sales", "digest", "new-keep", NOW)
    ledger.close()


def test_R5_a_full_ledger_is_told_and_recovers(ledger: SqlLedger) -> None:
    with ledger.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(LedgerUnavailable, match="disk is full"):
        ledger.record("sales", INBOX, [collected(str(key)) for key in range(1000)], NOW)
    assert ledger.known("sales", INBOX) == {}

    with ledger.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    ledger.record("sales", INBOX, [collected(str(key)) for key in range(1000)], NOW)
    assert len(ledger.known("sales", INBOX)) == 1000


def test_R5_a_ledger_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable, match="cannot be made"):
        open_ledger(f"sqlite:///{tmp_path}/file/ledger.sqlite3")


def test_R5_a_ledger_of_which_the_disk_fails_is_told(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(url)
    real = Path.stat

    def failing(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self == path:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", failing)
    with pytest.raises(
        LedgerUnavailable, match=r"cannot be read: Input/output error; see the kernel's log"
    ):
        ledger.histories()
    monkeypatch.undo()
    ledger.close()


def test_R5_the_directories_of_a_new_ledger_are_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    open_ledger(f"sqlite:///{tmp_path}/a/b/ledger.sqlite3").close()
    assert {str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"} <= set(synced)
    assert {stat.S_IMODE((tmp_path / made).stat().st_mode) for made in ("a", "a/b")} == {0o700}


def test_nothing_to_record_writes_nothing(url: str) -> None:
    ledger = open_ledger(url)
    ledger.record("nobody", INBOX, [], NOW)
    ledger.close()


def test_R5_a_ledger_that_vanished_is_not_begun_anew(url: str, path: Path) -> None:
    open_ledger(url).close()
    ledger = open_ledger(url)
    ledger.close()  # it may be used again: connections are made anew
    path.unlink()
    with pytest.raises(
        LedgerUnavailable,
        match="was removed, moved or replaced while mailcollector runs: put it back",
    ):
        ledger.histories()
    assert not path.exists()


@pytest.mark.parametrize(
    "how", ["removed", "moved", "replaced by an older one", "its directory moved"]
)
def test_R5_a_ledger_that_is_not_in_its_place_any_more_is_not_written_to(
    url: str, path: Path, tmp_path: Path, how: str
) -> None:
    """Whoever has it open could go on for as long as he runs; then nobody would know what was
    collected."""
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        older = tmp_path / "older"
        shutil.copy(path, older)
        kept = tmp_path / "kept"
        os.link(path, kept)
        if how == "its directory moved":
            path.parent.rename(tmp_path / "elsewhere")
        elif how == "replaced by an older one":
            older.rename(path)
        else:
            path.rename(tmp_path / "away")
        for attempt in (
            ledger.histories,
            lambda: ledger.record("sales", INBOX, [collected("1")], NOW),
            lambda: declare(ledger, "sales", "other", "new-keep", NOW),
        ):
            with pytest.raises(
                LedgerUnavailable, match="was removed, moved or replaced while mailcollector runs"
            ):
                attempt()
        if how == "its directory moved":
            (tmp_path / "elsewhere").rename(path.parent)
        else:
            kept.replace(path)
        ledger.record("sales", INBOX, [collected("1")], NOW)
        assert len(ledger.known("sales", INBOX)) == 1


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_M13_a_read_that_fails_is_not_taken_for_damage(url: str, path: Path) -> None:
    """SQLite says so of a page that could not be read, wherever in its work that happens."""
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
    program = f"""from reconciler.ledger import open_ledger
from reconciler.model.errors import LedgerUnavailable
try:
    ledger = open_ledger({url!r})
    ledger.histories()
    ledger.close()
except LedgerUnavailable as error:
    print(error)"""
    told = set()
    for number in range(3, 7):
        done = subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-P",
                str(path),
                "-e",
                "trace=pread64",
                "-e",
                f"inject=pread64:error=EIO:when={number}",
                sys.executable,
                "-c",
                program,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        assert "restore it from a backup" not in done.stdout, number
        told.add(done.stdout.partition("(")[0].rpartition("sqlite3 ")[2].strip())
    assert (
        "could not be read, but is not damaged: the disk fails now and then; see the kernel's log"
        in told
    ), told


def test_a_new_ledger_is_not_made_below_a_mount_point_without_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    fstab = tmp_path / "fstab"
    fstab.write_text(f"UUID=1 {tmp_path}/state ext4 defaults 0 2\n")
    monkeypatch.setattr(mounts, "_FSTAB", fstab)
    with pytest.raises(
        LedgerUnavailable,
        match=f"fstab has a file system for {tmp_path}/state, where none is mounted",
    ):
        open_ledger(f"sqlite:///{tmp_path}/state/deeper/ledger.sqlite3")
    assert list((tmp_path / "state").iterdir()) == []
    fstab.write_text(f"UUID=1 {tmp_path}/state ext4 noauto 0 2\n")
    open_ledger(f"sqlite:///{tmp_path}/state/deeper/ledger.sqlite3").close()


def test_M15_a_ledger_on_a_full_disk_is_told_as_that(tmp_path: Path) -> None:
    """There is no room for the index of its log either: SQLite says `disk I/O error`."""
    with Disk(mebibytes=8) as disk:
        url = f"sqlite:///{disk.mounted}/state/ledger.sqlite3"
        open_ledger(url).close()
        with (
            (disk.mounted / "filler").open("wb", buffering=0) as filler,
            contextlib.suppress(OSError),
        ):
            while True:
                filler.write(bytes(1024))
        with (
            pytest.raises(
                LedgerUnavailable, match="cannot grow: the disk is full; make room on it"
            ),
            closing(open_ledger(url)) as ledger,
        ):
            declare(ledger, "sales", "digest", "new-keep", NOW)
        (disk.mounted / "filler").unlink()
        with closing(open_ledger(url)) as ledger:
            declare(ledger, "sales", "digest", "new-keep", NOW)
