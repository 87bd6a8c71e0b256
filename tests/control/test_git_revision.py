"""The commit of a work tree, as git itself says it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.control.git_revision import git_head


def revision(directory: Path) -> str | None:
    return git_head(directory).commit


def git(where: Path, *words: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *settings, *words], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "collectors.d").mkdir(parents=True)
    git(tree, "init", "-q")
    (tree / "collectors.d" / "a.yaml").touch()
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "first")
    return tree


def test_the_commit_of_a_branch_of_packed_refs_and_of_a_detached_head(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert revision(tree / "collectors.d") == commit
    git(tree, "pack-refs", "--all")
    assert revision(tree) == commit
    git(tree, "checkout", "-q", "--detach")
    assert revision(tree) == commit


def test_the_commit_of_a_linked_work_tree_behind_a_link(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "second")
    (tmp_path / "link").symlink_to("other")
    assert (
        revision(tmp_path / "link")
        == git(tmp_path / "other", "rev-parse", "HEAD")
        != git(tree, "rev-parse", "HEAD")
    )


def test_none_without_git_without_a_commit_and_for_a_directory_that_is_not_there(
    tmp_path: Path,
) -> None:
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) is None
    assert revision(tmp_path / "nowhere") is None


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_none_where_git_ignores_or_does_not_track_the_directory(tree: Path, version: str) -> None:
    for name in ("b", "collectors.d/b", "collectors.d/bb", "collectors.e/x", "a" * 200):
        (tree / name).mkdir(parents=True)
        (tree / name / "a.yaml").touch()
    (tree / ".gitignore").write_text("/ignored\n")
    git(tree, "add", "-A")
    git(tree, "add", "-N", "collectors.d/bb/a.yaml")  # extended flags
    git(tree, "commit", "-q", "-m", "second")
    git(tree, "update-index", "--index-version", version)
    for name in (
        "ignored",
        "untracked",
        "collectors.d/untracked",
        "collectors.",
        "collectors.d/b/c",
    ):
        (tree / name).mkdir(parents=True)
        (tree / name / "a.yaml").touch()
        assert revision(tree / name) is None
    commit = git(tree, "rev-parse", "HEAD")
    for name in (
        ".",
        "b",
        "collectors.d",
        "collectors.d/b",
        "collectors.d/bb",
        "collectors.e",
        "a" * 200,
    ):
        assert revision(tree / name) == commit


def test_the_directory_counts_from_the_commit_that_first_has_it(tree: Path) -> None:
    (tree / "new").mkdir()
    (tree / "new" / "a.yaml").touch()
    assert revision(tree / "new") is None
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "second")
    assert revision(tree / "new") == git(tree, "rev-parse", "HEAD")


def test_a_repository_with_sha256(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert revision(tmp_path / "a") == git(tmp_path, "rev-parse", "HEAD")
    assert revision(tmp_path / "b") is None


@pytest.mark.parametrize("name", ["{}", "rev-{}", ".worktrees/{}"])
def test_the_commit_that_git_syncs_link_names(name: str, tmp_path: Path) -> None:
    commit = "0123456789" * 4
    tree = tmp_path / name.format(commit)
    (tree / "collectors.d").mkdir(parents=True)
    (tree / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / "current").symlink_to(tree)
    assert revision(tmp_path / "current" / "collectors.d") == commit
    assert revision(tree / "collectors.d") is None  # no link says so


def test_a_damaged_index_is_no_commit(tree: Path) -> None:
    (tree / ".git" / "index").write_bytes(b"DIRC\0\0\0\4\0\0\0\5" + b"\xff" * 70)
    assert revision(tree / "collectors.d") is None
