"""Files that are replaced as a whole (`reconciler.disk`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.disk import opened_directory, replacing, write_all


def test_the_old_content_stays_until_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with opened_directory(tmp_path) as directory:
        with replacing(directory, "file", ".draft", 0o640) as draft:
            os.fchmod(draft, 0o604)
            write_all(draft, b"new")
            assert file.read_bytes() == b"old"
        assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o604
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def fail(directory: int) -> None:
        with replacing(directory, "file", ".draft") as draft:
            write_all(draft, b"half")
            raise KeyError

    with opened_directory(tmp_path) as directory, pytest.raises(KeyError):
        fail(directory)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_draft_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / ".draft").write_bytes(b"another program's")
    with (
        opened_directory(tmp_path) as directory,
        pytest.raises(FileExistsError),
        replacing(directory, "file", ".draft"),
    ):
        pass
    assert (tmp_path / ".draft").read_bytes() == b"another program's"


@pytest.mark.parametrize(("durable", "synced"), [(True, ["file", "directory"]), (False, [])])
def test_what_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, synced: list[str]
) -> None:
    found: list[str] = []
    with opened_directory(tmp_path) as directory:
        monkeypatch.setattr(
            os, "fsync", lambda number: found.append("directory" if number == directory else "file")
        )
        with replacing(directory, "file", ".draft", durable=durable) as draft:
            write_all(draft, b"new")
    assert found == synced


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, octets: write(number, bytes(octets[:2])))
    with opened_directory(tmp_path) as directory, replacing(directory, "file", ".draft") as draft:
        assert write_all(draft, b"12345") == 5
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"12345"
