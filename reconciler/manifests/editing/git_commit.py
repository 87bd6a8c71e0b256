"""A git commit of exactly the file that was changed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import one_line

_LONGEST = 60
"""Seconds that git, with its hooks, may take."""


class NotCommitted(CollectorError):
    """Git did not make the commit."""

    reason = "NotCommitted"


def require_committable(path: Path) -> None:
    """Raise NotCommitted unless `path` lies in a work tree and has no other changes, which would be
    committed too."""
    target = Path(os.path.realpath(path))
    if _git(target.parent, "status", "--porcelain", "--", target.name):
        raise NotCommitted(f"nothing was written: {path} has changes that are not committed yet")


def commit(path: Path, message: str, author: str = "") -> str:
    """Commit the file; return the abbreviated commit. Whatever else is staged stays staged, and is
    not committed. `author` is a name; "" for the user who runs this."""
    target = Path(os.path.realpath(path))
    by = [f"--author={_identity(author)}"] if author else []
    try:
        # a file that is gone stands in the index still, and `add` takes that out of it
        _git(target.parent, "add", "--", target.name)
        _git(
            target.parent,
            *(_committer(target.parent) if author else ()),
            "commit",
            "--quiet",
            *by,
            "--only",
            "--message",
            message,
            "--",
            target.name,
        )
        return _git(target.parent, "rev-parse", "--short", "HEAD").strip()
    except NotCommitted as error:
        raise NotCommitted(f"{path} was written, but not committed: {error}") from error


def _identity(name: str) -> str:
    """Return an author without an address, for a name that may contain anything."""
    return f"{one_line(re.sub('[<>]', '', name)) or 'unknown'} <>"


def _committer(directory: Path) -> list[str]:
    """Return options that name this program as the committer, where git knows nobody else."""
    try:
        _git(directory, "var", "GIT_COMMITTER_IDENT")
    except NotCommitted:
        return ["-c", "user.name=mailcollector", "-c", "user.email=mailcollector@localhost"]
    return []


def _git(directory: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise NotCommitted(f"git did not end within {_LONGEST} seconds") from None
    except FileNotFoundError:
        raise NotCommitted("there is no program `git`") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        verb = next(word for word in words if word.islower() and word.isalpha())
        raise NotCommitted(f"git {verb}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
