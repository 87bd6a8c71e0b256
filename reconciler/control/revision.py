"""Which git commit the manifests' directory stands at, read from the files of git: no program is started for it."""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def revision(directory: Path) -> str | None:
    """The commit that HEAD of the work tree around `directory` points to; None where there is none."""
    try:
        resolved = directory.resolve(strict=True)
        for place in (resolved, *resolved.parents):
            if (place / ".git").exists():
                return _head(_git_directory(place / ".git"))
    except (OSError, RuntimeError, UnicodeDecodeError):  # RuntimeError: a loop of links
        return None
    return None


def _git_directory(entry: Path) -> Path:
    """`.git` itself, or where the file of this name points, as in a linked work tree (gitrepository-layout(5))."""
    if entry.is_dir():
        return entry
    return entry.parent / entry.read_text().removeprefix("gitdir:").strip()


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = git / common.read_text().strip() if common.exists() else git
    loose = next((place / name for place in (git, shared) if (place / name).is_file()), None)
    commit = loose.read_text().strip() if loose else _packed(shared / "packed-refs", name)
    return commit if commit and _COMMIT.fullmatch(commit) else None


def _packed(refs: Path, name: str) -> str | None:
    if not refs.is_file():
        return None
    lines = (line.partition(" ") for line in refs.read_text().splitlines())
    return next((commit for commit, _, ref in lines if ref == name), None)
