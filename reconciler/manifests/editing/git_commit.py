"""A git commit of exactly the files that were changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import one_line

_LONGEST = 60
"""Seconds that git, with its hooks, may take."""
_MOST = 64 << 10
"""Octets of what git prints that are read."""
_MOST_NAMES = 500
"""Files of one commit: the system bounds what a command line may hold."""
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
    for error in uncommitted([path]).values():
        raise error


def uncommitted(paths: Sequence[Path]) -> dict[Path, NotCommitted]:
    """Return, for each of these files that a change may not be committed of, why."""
    found: dict[Path, NotCommitted] = {}
    for directory, files in _by_directory(paths):
        found |= _uncommitted(directory, files)
    return found


def _uncommitted(directory: Path, files: Sequence[Path]) -> dict[Path, NotCommitted]:
    try:
        if not _git(directory, "status", "--porcelain", "--", *_names(directory, files)):
            return {}
    except NotCommitted as error:
        return {path: NotCommitted(str(error)) for path in files}
    if len(files) == 1:
        message = f"nothing was written: {files[0]} has changes that are not committed yet"
        return {files[0]: NotCommitted(message)}
    half = len(files) // 2
    return {**_uncommitted(directory, files[:half]), **_uncommitted(directory, files[half:])}


def commit(path: Path, message: str, author: str = "") -> str:
    """Commit a file, as `commit_files` does; return the abbreviated commit. Raises NotCommitted."""
    done = commit_files([path], message, author)[path]
    if isinstance(done, NotCommitted):
        raise done
    return done


def commit_files(
    paths: Sequence[Path], message: str, author: str = ""
) -> dict[Path, str | NotCommitted]:
    """Commit the files, as one commit in each work tree. Return for each the abbreviated commit, or
    why there is none. Whatever else is staged stays staged, and is not committed. `author` is a
    name; "" for the user who runs this."""
    done: dict[Path, str | NotCommitted] = {}
    for directory, files in _by_directory(paths):
        try:
            made = _committed(directory, _names(directory, files), message, author)
            done |= dict.fromkeys(files, made)
        except NotCommitted as error:
            done |= {
                path: NotCommitted(f"{path} was written, but not committed: {error}")
                for path in files
            }
    return done


def _committed(directory: Path, names: Sequence[str], message: str, author: str) -> str:
    by = [f"--author={_identity(author)}"] if author else []
    # a file that is gone stands in the index still, and `add` takes that out of it
    _git(directory, "add", "--", *names)
    _git(
        directory,
        *(_committer(directory) if author else ()),
        "commit",
        "--quiet",
        *by,
        "--only",
        "--message",
        message,
        "--",
        *names,
    )
    return _git(directory, "rev-parse", "--short", "HEAD").strip()


def _by_directory(paths: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the files by a directory of their work tree: a command line has room for them."""
    parents = dict.fromkeys(_target(path).parent for path in paths)
    above = {parent: _top(parent) if len(parents) > 1 else parent for parent in parents}
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(above[_target(path).parent], []).append(path)
    for directory, files in groups.items():
        for start in range(0, len(files), _MOST_NAMES):
            yield directory, files[start : start + _MOST_NAMES]


def _top(directory: Path) -> Path:
    """Return the top of the work tree; where there is none, the directory: git will say so."""
    try:
        return Path(_git(directory, "rev-parse", "--show-toplevel").removesuffix("\n"))
    except NotCommitted:
        return directory


def _names(directory: Path, files: Iterable[Path]) -> list[str]:
    return [os.path.relpath(_target(path), directory) for path in files]


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))


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
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        try:
            running = subprocess.Popen(
                ["git", "-C", str(directory), *words],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
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
        lines = (_text(errors) or output).strip().splitlines()
    if code:
        verb = next((word for word in words if word.islower() and word.isalpha()), words[0])
        raise NotCommitted(f"git {verb}: {one_line(lines[-1]) if lines else f'exit code {code}'}")
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
