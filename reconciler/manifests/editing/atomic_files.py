"""Files that change at once: a reader sees the old content or the new one, also after a power
cut."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Self

from reconciler.disk import opened_directory, replacing, sync_names, write_all
from reconciler.manifests import manifest_files
from reconciler.model.errors import CollectorError


class ChangedMeanwhile(CollectorError):
    """Somebody else changed the file between reading and writing it."""

    reason = "ChangedMeanwhile"


def replace_file(path: Path, before: bytes | None, after: bytes | None) -> None:
    """Replace the content `before` of a file by `after`; None: there is no file.

    Mode and owner stay. A link stays, and the file that it leads to is changed. Raises
    ChangedMeanwhile where the content is not `before`, and OSError.
    """
    sync_names(replace_unsynced(path, before, after))


def replace_unsynced(path: Path, before: bytes | None, after: bytes | None) -> Path:
    """Do the same, and return the directory whose names are to be made durable: once for many
    files."""
    target = Path(os.path.realpath(path))
    if after is None:
        _require_unchanged(target, before)
        path.unlink()
    else:
        _write(target, before, after)
    return target.parent


def new_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that does not exist yet. It is durable when this returns; the umask applies.
    Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        sync_names(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)  # no half-written file stays
        raise


class NewFiles:
    """New files: all of them or, where the context fails, none."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for path in reversed(self._made) if kind else ():
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()

    def directory(self, path: Path, mode: int) -> None:
        """Make a directory with its parents where it does not exist. Raises OSError."""
        if not path.is_dir():
            self.directory(path.parent, 0o777)
            path.mkdir(mode=mode)
            self._made.append(path)

    def add(self, path: Path, content: bytes, mode: int = 0o666) -> None:
        """Write a new file as `new_file` does."""
        new_file(path, content, mode)
        self._made.append(path)


def _write(target: Path, before: bytes | None, after: bytes) -> None:
    draft_name = f".{target.name}.{secrets.token_hex(4)}"  # with a dot: never read as a manifest
    with (
        opened_directory(target.parent) as directory,
        replacing(directory, target.name, draft_name, 0o666, durable=False) as draft,
    ):
        if before is not None:
            status = target.stat()
            with contextlib.suppress(PermissionError):  # only root may give files away
                os.fchown(draft, status.st_uid, status.st_gid)
            os.fchmod(draft, status.st_mode & 0o7777)
        write_all(draft, after)
        os.fsync(draft)  # before the check below, because it may take long
        _require_unchanged(target, before)


def _require_unchanged(target: Path, before: bytes | None) -> None:
    try:
        now = manifest_files.read(target)
    except manifest_files.Unreadable:
        now = None
    if now != before:
        raise ChangedMeanwhile(f"{target} was changed meanwhile: nothing was written")
