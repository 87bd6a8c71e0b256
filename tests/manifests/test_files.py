"""Search and reading of manifest files."""

from __future__ import annotations

import os
import socket
import time
from contextlib import chdir
from pathlib import Path

import pytest

from reconciler.manifests import directory_walk, manifest_files
from reconciler.manifests.loading import load


def names(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in directory_walk.list_files(root)]


def touch(root: Path, *relative: str) -> None:
    for name in relative:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: b\n")


def test_yaml_files_are_listed_recursively_in_order(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.yaml",
        "a.yml",
        "sub/deep/c.yaml",
        "notes.txt",
        "d.yaml.orig",
        "README.md",
        "YAML",
    )
    assert names(tmp_path) == ["a.yml", "b.yaml", "sub/deep/c.yaml"]


def test_Y15_what_editors_and_mounts_leave_is_ignored(tmp_path: Path) -> None:
    touch(
        tmp_path,
        ".a.yaml.swp",
        "a.yaml~",
        ".#a.yaml",
        "4913",
        "..data/a.yaml",
        ".git/a.yaml",
        "old~/a.yaml",
        ".a.yaml",
        "#a.yaml#",
        "a.yaml",
    )
    assert names(tmp_path) == ["a.yaml"]


def test_files_of_a_config_map_are_read_through_its_data_link(tmp_path: Path) -> None:
    touch(tmp_path, "..2026_11_22/sales.yaml")
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / "sales.yaml").symlink_to("..data/sales.yaml")
    assert names(tmp_path) == ["sales.yaml"]
    assert manifest_files.read(tmp_path / "sales.yaml") == b"a: b\n"


def test_linked_directories_are_followed_each_once(tmp_path: Path) -> None:
    touch(tmp_path, "manifests/sub/a.yaml")
    root = tmp_path / "root"
    root.mkdir()
    (root / "one").symlink_to("../manifests")
    (root / "two").symlink_to("../manifests")
    assert names(root) == ["one/sub/a.yaml"]


def test_Y11_link_loops(tmp_path: Path) -> None:
    touch(tmp_path, "a.yaml", "sub/b.yaml")
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert names(tmp_path) == ["a.yaml", "loop.yaml", "sub/b.yaml"]
    with pytest.raises(manifest_files.Unreadable, match="leads back to itself"):
        manifest_files.read(tmp_path / "loop.yaml")


def test_Y17_vanished_directory_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(directory_walk.DirectoryVanished, match="gone"):
        directory_walk.list_files(tmp_path / "gone")
    touch(tmp_path, "file")
    with pytest.raises(directory_walk.DirectoryVanished):
        directory_walk.list_files(tmp_path / "file")
    assert directory_walk.list_files(tmp_path) == []


def test_Y12_directory_that_cannot_be_listed_is_reported_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.yaml", "sub/b.yaml")
    scandir = os.scandir

    def refuse(path: os.PathLike[str]) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(tmp_path) == ["a.yaml", "sub"]


def test_Y12_unreadable_file_is_an_error_and_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.yaml")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    parsed = load(tmp_path / "a.yaml")
    assert [(one.rule, one.line, one.column) for one in parsed.diagnostics] == [
        ("file-unreadable", 1, 1)
    ]
    assert "permission denied" in parsed.diagnostics[0].message
    assert not parsed.complete


def test_dangling_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere.yaml")
    assert names(tmp_path) == ["a.yaml"]
    assert load(tmp_path / "a.yaml").diagnostics[0].rule == "file-unreadable"


def test_Y10_file_over_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    parsed = load(path)
    assert [one.rule for one in parsed.diagnostics] == ["file-too-large"]
    assert "104,857,600" in parsed.diagnostics[0].message
    with path.open("wb") as file:
        file.truncate(manifest_files.LARGEST)
    assert len(manifest_files.read(path)) == manifest_files.LARGEST


def test_Y10_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.yaml")
    monkeypatch.setattr(os, "read", lambda _, size: b"x" * size)
    with pytest.raises(manifest_files.Unreadable, match="grows"):
        manifest_files.read(tmp_path / "a.yaml")


def test_Y10_fifo_directory_socket_and_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "directory.yaml").mkdir()
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    with chdir(tmp_path), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.yaml")
        assert names(tmp_path) == ["device.yaml", "directory.yaml", "fifo.yaml", "socket.yaml"]
        for path in directory_walk.list_files(tmp_path):
            assert [one.rule for one in load(path).diagnostics] == ["file-not-regular"], path


def test_directory_removed_while_it_is_walked_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.yaml", "sub/b.yaml")
    scandir = os.scandir

    def vanish(path: os.PathLike[str]) -> object:
        if str(path).endswith("sub"):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanish)
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_that_changed_just_now_has_no_signature(tmp_path: Path) -> None:
    """The file may change again without a new time stamp."""
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, time.time_ns()))
    assert manifest_files.signature(path) is None
    os.utime(path, ns=(now, now - 10**9))
    assert manifest_files.signature(path) is not None
