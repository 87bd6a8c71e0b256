"""The commit of a work tree, as git itself says it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.control.revision import revision


def git(where: Path, *words: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *settings, *words], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "collectors.d").mkdir(parents=True)
    git(tree, "init", "-q")
    git(tree, "commit", "-q", "--allow-empty", "-m", "first")
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
    assert revision(tmp_path / "link") == git(tmp_path / "other", "rev-parse", "HEAD") != git(tree, "rev-parse", "HEAD")


def test_none_without_git_without_a_commit_and_for_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) is None
    assert revision(tmp_path / "nowhere") is None
