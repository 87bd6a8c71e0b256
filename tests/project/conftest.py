"""A copy of the checkout, as a newcomer would have it after `git clone`, uncommitted changes
included."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository of its own with everything that git does not ignore, committed."""
    copy = tmp_path / "checkout"
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if os.path.lexists(ROOT / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    _git(copy, "init", "--quiet")
    _git(copy, "add", "--all")
    _git(
        copy,
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        "commit",
        "--quiet",
        "--message",
        "copy",
    )
    return copy


def _git(directory: Path, *arguments: str) -> str:
    # The owner of a checkout may be another user than the one who tests, as in a container.
    return subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", directory, *arguments],
        check=True,
        text=True,
        capture_output=True,
    ).stdout
