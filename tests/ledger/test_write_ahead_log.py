"""The ledger's log removed, replaced or cut while the ledger is open (hazard R5)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.model.errors import LedgerUnavailable
from tests.ledger.samples import INBOX, NOW, collected, declare


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _replace(log: Path) -> None:
    shutil.copy(log, log.with_name("copy"))
    log.with_name("copy").replace(log)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "removed": ("removed", lambda log: log.unlink()),
    "moved": ("removed", lambda log: log.rename(log.with_name("away"))),
    "replaced by a copy": ("replaced", _replace),
    "cut to nothing": ("cut", lambda log: os.truncate(log, 0)),
    "cut in the middle": ("cut", lambda log: os.truncate(log, log.stat().st_size // 2)),
    "cut by an octet": ("cut", lambda log: os.truncate(log, log.stat().st_size - 1)),
}


def _refuses(ledger: SqlLedger, what: str) -> None:
    for attempt in (
        ledger.require_whole,
        ledger.hold,
        lambda: ledger.record("sales", INBOX, [collected("2")], NOW),
        lambda: declare(ledger, "sales", "other", "new-keep", NOW),
    ):
        with pytest.raises(
            LedgerUnavailable, match=f"log .*-wal was {what} while mailcollector runs: .*stop it"
        ):
            attempt()


@pytest.mark.parametrize("how", DAMAGES)
def test_R5_nothing_is_written_or_deleted_any_more(url: str, path: Path, how: str) -> None:
    what, damage = DAMAGES[how]
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        ledger.record("sales", INBOX, [collected("1")], NOW)
        ledger.require_whole()
        damage(_log(path))
        _refuses(ledger, what)


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_R5_an_orderly_end_keeps_what_a_removed_log_held(url: str, path: Path, how: str) -> None:
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        ledger.record("sales", INBOX, [collected("1")], NOW)
        DAMAGES[how][1](_log(path))
        _refuses(ledger, "removed")
    with closing(open_ledger(url)) as ledger:
        assert list(ledger.known("sales", INBOX)) == ["1"]
        ledger.record("sales", INBOX, [collected("2")], NOW)


@pytest.mark.parametrize("octets", [0, 32 + 3 * (24 + 4096), 100_000])
def test_R5_a_cut_log_costs_what_was_cut_off_and_no_more(url: str, path: Path, octets: int) -> None:
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(60):
            ledger.record("sales", INBOX, [collected(str(number))], NOW)
        assert _log(path).stat().st_size > octets
        os.truncate(_log(path), octets)
        _refuses(ledger, "cut")
    assert _log(path).stat().st_size == octets
    with closing(open_ledger(url)) as ledger:
        left = set(ledger.known("sales", INBOX))
        assert left == {str(number) for number in range(len(left))}
        ledger.record("sales", INBOX, [collected("60")], NOW)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_SQLite_does_to_the_log_is_no_damage(url: str, path: Path) -> None:
    with closing(open_ledger(url)) as ledger:
        declare(ledger, "sales", "digest", "new-keep", NOW)
        for number in range(1, 4):
            ledger.record("sales", INBOX, [collected(str(number))], NOW)
            with closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert _log(path).stat().st_size == 0
            ledger.require_whole()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(RESTART)")
        ledger.record("sales", INBOX, [collected("9")], NOW)
        ledger.require_whole()
        assert set(ledger.known("sales", INBOX)) == {"1", "2", "3", "9"}
    ledger.record("sales", INBOX, [collected("10")], NOW)  # with connections that are made anew
    ledger.require_whole()
    ledger.close()
