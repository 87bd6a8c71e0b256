"""A git commit of exactly the file that was changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import one_line

_LONGEST = 60
"""Seconds that git, with its hooks, may take."""
_MOST = 64 << 10
"""Octets of what git prints that are read."""
_LEFT_OUT = " .,:;\"\\'"
_OF_A_REPOSITORY = frozenset(
    {
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)
"""Variables by which git finds a repository (`git rev-parse --local-env-vars`)."""


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
    """Return an author without an address, for a name that may contain anything. Git refuses a name
    of nothing but what it would leave out at its ends."""
    found = one_line(re.sub("[<>]", "", name))
    return f"{found if found.strip(_LEFT_OUT) else 'unknown'} <>"


def _committer(directory: Path) -> list[str]:
    """Return options that name this program as the committer, where git knows nobody else."""
    try:
        _git(directory, "var", "GIT_COMMITTER_IDENT")
    except NotCommitted:
        return ["-c", "user.name=mailcollector", "-c", "user.email=mailcollector@localhost"]
    return []


def _git(directory: Path, *words: str) -> str:
    """Run git and return what it prints. What its hooks leave running is not waited for; where git
    takes too long, it is killed with them."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as told:
        try:
            running = subprocess.Popen(
                ["git", "-C", str(directory), *words],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=told,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise NotCommitted("there is no program `git`") from None
        except OSError as error:
            raise NotCommitted(f"git cannot be started: {error.strerror}") from error
        try:
            code = running.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            raise NotCommitted(f"git did not end within {_LONGEST} seconds") from None
        finally:
            if running.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        output = _text(printed)
        said = (_text(told) or output).strip().splitlines()
    if code:
        verb = next(word for word in words if word.islower() and word.isalpha())
        raise NotCommitted(f"git {verb}: {one_line(said[-1]) if said else f'exit code {code}'}")
    return output


def _environment() -> dict[str, str]:
    """Return the environment of git and its hooks: without our own variables, and without those of
    another repository, whose hook may have started this process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAILCOLLECTOR_") and name not in _OF_A_REPOSITORY
    }
    return {**kept, "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}


def _text(file: IO[bytes]) -> str:
    """Return the end of what was written to a file, where the reasons stand."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST))
    return file.read().decode("utf-8", "replace")
