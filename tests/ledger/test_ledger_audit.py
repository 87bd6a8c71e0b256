"""What a look through the whole ledger tells, and how large it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.ledger import SqlLedger, database_errors
from reconciler.ledger.ledger_audit import DeliveredCopy
from tests.ledger.samples import INBOX, NOW, collected, declare


def test_every_copy_is_told_by_collector_and_recipient(ledger: SqlLedger) -> None:
    declare(ledger, "acme", "digest", "new-keep", NOW)
    ledger.record("sales", INBOX, [collected("7", "b@x.test", "a@x.test")], NOW)
    ledger.record("acme", INBOX, [collected("8", "c@x.test")], NOW)
    assert list(ledger.delivered()) == [
        DeliveredCopy("acme", "c@x.test", "file-8", 100),
        DeliveredCopy("sales", "a@x.test", "file-7", 100),
        DeliveredCopy("sales", "b@x.test", "file-7", 100),
    ]
    assert ledger.damage() == []


def test_which_names_copies_have(ledger: SqlLedger) -> None:
    ledger.record("sales", INBOX, [collected(str(number)) for number in range(3)], NOW)
    names = [f"file-{number}" for number in range(3000)]
    assert ledger.recorded(names) == {"file-0", "file-1", "file-2"}
    assert ledger.recorded([]) == set()


def test_its_size_is_that_of_the_file_and_of_its_log(ledger: SqlLedger, url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    ledger.record("sales", INBOX, [collected("7")], NOW)
    files = [path, path.with_name(f"{path.name}-wal")]
    assert ledger.size() == sum(file.stat().st_size for file in files)
    assert files[1].stat().st_size


@pytest.mark.parametrize(
    ("octets", "files", "free_files", "full"),
    [
        pytest.param(1 << 40, 1000, 10, False, id="room"),
        pytest.param(0, 1000, 10, True, id="no octet is free"),
        pytest.param(1 << 40, 1000, 0, True, id="no inode is free"),
        pytest.param(1 << 40, 0, 0, False, id="a file system that counts no inodes"),
    ],
)
def test_whether_the_disk_is_full(
    octets: int, files: int, free_files: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(
        f_bavail=octets // 4096, f_frsize=4096, f_files=files, f_favail=free_files
    )
    monkeypatch.setattr(os, "statvfs", lambda _: free)
    assert database_errors._is_full("/state/ledger.sqlite3") is full
