"""Write files and names so that they outlast a power cut."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


class NotAFile(OSError):
    """What stands at a path is no file. `strerror` says what it is."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.EINVAL, f"it is {what}, not a file", str(path))


def obstacle(path: Path, *, follow: bool = False) -> str:
    """Return what stands at a path where a file should: "a FIFO", for example; "" for a file, and
    where nothing stands. `follow`: a link to a file is one."""
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
        if follow and kind == stat.S_IFLNK:
            kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        dangling = follow and isinstance(error, FileNotFoundError) and path.is_symlink()
        return "a symbolic link to nothing" if dangling else ""
    return _KINDS.get(kind, "")


def open_file(path: Path, flags: int, *, follow: bool = False) -> int:
    """Open a file (made with mode 0600, if `flags` say so), and return its descriptor. Never waits
    for the other end of a FIFO. Raises NotAFile, and other OSErrors."""
    flags |= os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    if what := obstacle(path, follow=follow):
        raise NotAFile(path, what)
    return os.open(path, flags, 0o600)


@contextmanager
def opened_directory(path: Path | str) -> Iterator[int]:
    """Open a directory, and yield its descriptor. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_names(directory: Path | str) -> None:
    """Make the names in `directory` durable. Raises OSError."""
    with opened_directory(directory) as descriptor:
        os.fsync(descriptor)


@contextmanager
def replacing(
    directory: int, name: str, draft: str, mode: int = 0o600, *, durable: bool = True
) -> Iterator[int]:
    """Replace the file `name` as a whole: a reader sees the old content or the new one.

    Yield the descriptor of an empty file, `draft`, made with `mode` (the umask applies). The block
    writes the content, and may change owner, mode and times. Then the draft takes the place of
    `name`. With `durable` this also holds over a power cut. Where anything fails, `name` stays as
    it was, and the draft is removed. Both names are in the open `directory`.

    Raises OSError, FileExistsError where there is a draft already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, mode, dir_fd=directory)
    try:
        try:
            yield descriptor
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=directory)
        raise
    if durable:
        os.fsync(directory)


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file by `content`, as `replacing` does, with mode 0600. Raises OSError."""
    draft = f".{path.name}.{secrets.token_hex(4)}"
    with (
        opened_directory(path.parent) as directory,
        replacing(directory, path.name, draft, durable=durable) as file,
    ):
        write_all(file, content)


def write_all(descriptor: int, content: bytes) -> int:
    """Write all of `content`, in several calls if need be. Return its length in octets."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])
    return written
