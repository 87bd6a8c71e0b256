"""Find the git commit of the manifests' directory. Git's own files are read; no program is
started."""

from __future__ import annotations

import os
import re
from pathlib import Path

from msgspec import Struct

from reconciler.control.git_index import tracks
from reconciler.manifests.manifest_files import Unreadable, read

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_RELEASE = re.compile(r"(?:rev-)?([0-9a-f]{40}(?:[0-9a-f]{24})?)")
"""The names of the directories that git-sync's link leads to."""
_MOST_REFS = 1 << 25
"""Octets of a file of packed references: half a million of them."""


class GitHead(Struct, frozen=True):
    """The git commit of a directory; None without one. One of `files` changes with it."""

    commit: str | None = None
    files: frozenset[Path] = frozenset()


def git_head(directory: Path) -> GitHead:
    """Return the commit at which the manifests in `directory` stand.

    That is HEAD of the work tree around it, if git tracks something in the directory. Otherwise it
    is the commit in the name of a directory that a link on the way leads to (git-sync).
    """
    try:
        resolved = directory.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return GitHead()
    given = directory.absolute().parts
    for place in (resolved, *resolved.parents):
        release = None if place.name in given else _RELEASE.fullmatch(place.name)
        if os.path.exists(place / ".git"):  # noqa: PTH110  # never raises
            return _work_tree(place, resolved) or GitHead(release and release[1])
        if release:
            return GitHead(release[1])
    return GitHead()


def _work_tree(root: Path, directory: Path) -> GitHead | None:
    """Return HEAD of a work tree; None where git's own files cannot be read. A work tree of
    git-sync names them by their paths in its container."""
    try:
        git = _git_directory(root / ".git")
        commit, files = _head(git)
        below = "" if directory == root else directory.relative_to(root).as_posix()
        tracked = commit and tracks(git / "index", below, len(commit) // 2)
        return GitHead(commit if tracked else None, files)
    except (
        OSError,
        Unreadable,
        ValueError,
        IndexError,
    ):  # a file with such a name may hold anything
        return None


def _git_directory(entry: Path) -> Path:
    """Return the directory `.git`, or the one that the file `.git` of a linked work tree names
    (gitrepository-layout(5))."""
    if entry.is_dir():
        return entry
    return entry.parent / _text(entry).removeprefix("gitdir:").strip()


def _head(git: Path) -> tuple[str | None, frozenset[Path]]:
    """Return the commit of HEAD, and the files that this was read from."""
    head = _text(git / "HEAD").strip()
    if not head.startswith("ref:"):
        return (head if _COMMIT.fullmatch(head) else None), frozenset({git / "HEAD"})
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = git / _text(common).strip() if common.exists() else git
    packed = shared / "packed-refs"
    loose = next(
        (place / name for place in (git, shared) if (place / name).is_file()), shared / name
    )
    commit = _text(loose).strip() if loose.is_file() else _packed(packed, name)
    return commit if commit and _COMMIT.fullmatch(commit) else None, frozenset(
        {git / "HEAD", packed, loose}
    )


def _packed(refs: Path, name: str) -> str | None:
    if not refs.is_file():
        return None
    lines = (line.partition(" ") for line in _text(refs, _MOST_REFS).splitlines())
    return next((commit for commit, _, ref in lines if ref == name), None)


def _text(path: Path, largest: int = 1 << 16) -> str:
    """Return the text of one of git's small files. Raises Unreadable, ValueError."""
    text = read(path, largest).decode()
    if "\0" in text:
        raise ValueError(f"{path} is none of git's files")
    return text
