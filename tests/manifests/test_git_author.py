"""The author of a git commit, whatever somebody is called: a token's name, or a proxy's user."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.manifests.editing.git_commit import commit


def git(directory: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", directory, *words], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize(
    ("name", "author"),
    [
        ("anna", "anna"),
        ("Анна Ёлкина", "Анна Ёлкина"),
        ("anna@example.org", "anna@example.org"),
        ("Eve <root@example.org>", "Eve root@example.org"),
        ("Eve <root@example.org> 0 +0000", "Eve root@example.org 0 +0000"),
        ("eve\nAuthor: root <root@example.org>", "eve Author: root root@example.org"),
        ("eve\r\n\r\nSigned-off-by: root", "eve    Signed-off-by: root"),
        ("eve\x00", "eve"),
        ("--amend", "--amend"),
        ("<>", "unknown"),
        ("...", "unknown"),
        ("\u202eanna", "anna"),
        ("x" * 4000, "x" * 4000),
    ],
)
def test_no_name_breaks_the_commit_or_forges_an_author(
    tmp_path: Path, name: str, author: str
) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "keeper")
    git(tmp_path, "config", "user.email", "keeper@example.org")
    path = tmp_path / "sales.yaml"
    path.write_text("kind: MailCollector\n")

    commit(path, "Add collector sales", name)

    shown = git(tmp_path, "log", "--format=%an%n%ae%n%cn%n%B").rstrip()
    assert shown.split("\n") == [author, "", "keeper", "Add collector sales"]
