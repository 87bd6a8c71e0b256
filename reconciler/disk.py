"""What the disk keeps, and which file systems are mounted where."""

from __future__ import annotations

import errno
import functools
import os
import re
import select
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

_VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
"""What is in these does not outlast them, so that nothing is hidden below another one of the
kind."""
_FSTAB = Path("/etc/fstab")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def sync_names(directory: Path | str) -> None:
    """Make the names in it durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Mount(Struct, frozen=True):
    """A file system that is mounted at `point`, or the part of it below `inside`. What tells it
    from others, as far as known: `uuid`, of a disk; `fsid`, of most others (statfs(2); 0: has
    none); else type and `source`."""

    point: str
    kind: str
    source: str
    inside: str = "/"
    fsid: int = 0
    uuid: str = ""

    def is_the_same(self, other: Mount, path: str) -> bool:
        """Whether `path` is the same place of the same file system by both, however that is
        mounted."""
        if self.kind == other.kind in _VOLATILE:
            return self.point == other.point
        if self._within(path) != other._within(path):
            return False
        if self.uuid and other.uuid:
            return self.uuid == other.uuid
        if self.fsid and other.fsid:
            return self.fsid == other.fsid
        return (self.kind, self.source) == (other.kind, other.source)

    def _within(self, path: str) -> str:
        below = path[len(self.point) :] if self.point != "/" else path
        return os.path.normpath(f"{self.inside}/{below}")

    def __str__(self) -> str:
        return f"{self.kind}, {self.source}"


@functools.lru_cache(1024)
# what was found holds as long as none is made
def mount_of(path: str, changes: int) -> Mount | None:  # noqa: ARG001
    """The mount that `path`, which has no links in it, is on, or would be: where it is missing, the
    nearest directory above decides. What an automounter has there is mounted by this. None where
    the kernel does not tell. Raises OSError. `changes`: of `Mounts`."""
    descriptor = _nearest(path)
    try:
        number, table = _mount_number(descriptor), _table()
        if not number or not table:
            return None
        fsid = os.fstatvfs(descriptor).f_fsid
        found = next((line for line in reversed(table) if line.split(" ", 1)[0] == number), None)
        return _outside(descriptor, fsid) if found is None else _parsed(found, fsid)
    finally:
        os.close(descriptor)


def unmounted(path: str) -> str | None:
    """The mount point above `path` that /etc/fstab has a file system for while none is mounted
    there; None: all are. The root directory always has one, though the table leaves it out in a
    chroot."""
    expected = [point for point in _in_fstab() if point != "/" and _is_above(point, path)]
    mounted = {_plain(line.split(" ", 5)[4]) for line in _table()}
    return next((point for point in sorted(expected, key=len) if point not in mounted), None)


def _is_above(point: str, path: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")


def deepest(points: Iterable[str], path: str) -> str | None:
    """Of these mount points the one that `path` is on."""
    return max((point for point in points if _is_above(point, path)), key=len, default=None)


class Mounts:
    """Notices that something was mounted or unmounted, anywhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._changes = 0
        with suppress(OSError):
            # A number, not a file object: it stays open as long as the process, and nobody need
            # close it.
            table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(table, select.POLLPRI | select.POLLERR)

    def changes(self) -> int:
        """How often."""
        with self._lock:
            if self._poll.poll(0):
                self._changes += 1
            return self._changes


@functools.cache
def mounts() -> Mounts:
    return Mounts()


def _nearest(path: str) -> int:
    while True:
        try:
            return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or path == "/":
                raise
        path = os.path.dirname(path)  # noqa: PTH120  # paths are text here


def _mount_number(descriptor: int) -> str:
    with suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
            if line.startswith("mnt_id:"):
                return line.split()[1]
    return ""


def _table() -> list[str]:
    with suppress(OSError):
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return []


def _outside(descriptor: int, fsid: int) -> Mount:
    """In a chroot whose root directory is no mount point the table leaves out what that is on."""
    device = os.fstat(descriptor).st_dev
    return Mount(
        "/",
        "unknown",
        "mounted outside of this root directory",
        fsid=fsid,
        uuid=_uuid(f"{os.major(device)}:{os.minor(device)}"),
    )


def _parsed(line: str, fsid: int) -> Mount:
    """proc(5): number, above, device, part, point, options, fields, -, kind, source, options."""
    before, _, after = line.partition(" - ")
    _, _, device, inside, point, *_ = before.split(" ")
    kind, source, *_ = after.split(" ")
    return Mount(_plain(point), kind, _plain(source), _plain(inside), fsid, _uuid(device))


def _uuid(device: str) -> str:
    """Where the machine names its disks by it; `device` is MAJOR:MINOR."""
    with suppress(OSError):
        for link in sorted(Path("/dev/disk/by-uuid").iterdir()):
            with suppress(OSError):
                number = link.stat().st_rdev
                if f"{os.major(number)}:{os.minor(number)}" == device:
                    return link.name
    return ""


def _in_fstab() -> list[str]:
    """Mount points of what is mounted at a start."""
    with suppress(OSError):
        lines = [line.split() for line in _FSTAB.read_text(errors="surrogateescape").splitlines()]
        return [
            _plain(fields[1]).rstrip("/") or "/"
            for fields in lines
            if len(fields) > 3
            and not fields[0].startswith("#")
            and fields[1].startswith("/")
            and "noauto" not in fields[3].split(",")
        ]
    return []


def _plain(field: str) -> str:
    """Spaces and their like are written as octal numbers."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
