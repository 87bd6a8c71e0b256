"""`--git-commit`: a commit of exactly the file that a verb changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from reconciler.model.errors import CollectorError


class NotCommitted(CollectorError):
    """Git did not make the commit."""

    reason = "NotCommitted"


def require_committable(path: Path) -> None:
    """Raise NotCommitted unless `path` lies in a work tree and has no other changes, which would be
    committed too."""
    target = Path(os.path.realpath(path))
    if _git(target.parent, "status", "--porcelain", "--", target.name):
        raise NotCommitted(f"nothing was written: {path} has changes that are not committed yet")


def commit(path: Path, message: str) -> str:
    """Commit the file; return the abbreviated commit. Whatever else is staged stays staged, and is
    not committed."""
    target = Path(os.path.realpath(path))
    try:
        _git(target.parent, "add", "--", target.name)
        _git(target.parent, "commit", "--quiet", "--only", "--message", message, "--", target.name)
        return _git(target.parent, "rev-parse", "--short", "HEAD").strip()
    except NotCommitted as error:
        raise NotCommitted(f"{path} was written, but not committed: {error}") from error


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
        )
    except FileNotFoundError:
        raise NotCommitted("there is no program `git`") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotCommitted(
            f"git {words[0]}: {said[-1] if said else f'exit code {done.returncode}'}"
        )
    return done.stdout
