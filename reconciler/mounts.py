"""Which file systems are mounted where."""

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
"""Types of file systems whose files end with the mount. Another one of the same type hides
nothing."""
_FSTAB = Path("/etc/fstab")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True):
    """A mounted file system.

    It is identified by the first of these that is known: the UUID of its disk, its own number, or
    its type and source.
    """

    point: str
    """Path of the mount point."""
    kind: str
    """Type of the file system, such as `ext4`."""
    source: str
    """Device or remote directory that is mounted."""
    inside: str = "/"
    """The directory of the file system that is mounted: not `/` for a bind mount of a part."""
    fsid: int = 0
    """Number of the file system (statfs(2)); 0: it has none."""
    uuid: str = ""
    """UUID of the disk; empty where the machine names no disks by it."""

    def is_the_same(self, other: Mount, path: str) -> bool:
        """Return whether `path` leads to the same directory of the same file system in both,
        however that is mounted."""
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
def mount_of(path: str, changes: int) -> Mount | None:  # noqa: ARG001
    """Return the mount that `path` is on; None where the kernel does not tell.

    `path` has no links in it. Where it is missing, the nearest directory above it counts. An
    automounter mounts its file system at this call. The result is remembered until `changes`, from
    `mount_changes`, is another number. Raises OSError.
    """
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


def missing_mount(path: str) -> str | None:
    """Return the mount point above `path` that is listed in /etc/fstab, but not mounted; None where
    all are mounted.

    The root directory is always mounted, though in a chroot the kernel's table leaves it out.
    """
    expected = [point for point in _in_fstab() if point != "/" and _is_above(point, path)]
    mounted = {_plain(line.split(" ", 5)[4]) for line in _table()}
    return next((point for point in sorted(expected, key=len) if point not in mounted), None)


def _is_above(point: str, path: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")


def deepest(points: Iterable[str], path: str) -> str | None:
    """Return the one of these mount points that `path` is on; None where it is on none."""
    return max((point for point in points if _is_above(point, path)), key=len, default=None)


def mount_changes() -> int:
    """Return how often the kernel's table of mounts was found changed in this process."""
    return _watch().changes()


class _MountWatch:
    """Notices that something was mounted or unmounted anywhere. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._changes = 0
        with suppress(OSError):
            # A descriptor, not a file object: it stays open until the process ends.
            table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(table, select.POLLPRI | select.POLLERR)

    def changes(self) -> int:
        with self._lock:
            if self._poll.poll(0):
                self._changes += 1
            return self._changes


@functools.cache
def _watch() -> _MountWatch:
    return _MountWatch()


def _nearest(path: str) -> int:
    """Open `path`, or the nearest directory above it that exists; return the descriptor."""
    while True:
        try:
            return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or path == "/":
                raise
        path = os.path.dirname(path)  # noqa: PTH120  # paths are text here


def _mount_number(descriptor: int) -> str:
    """Return the number of the mount, as in the first column of the kernel's table; empty where it
    is unknown."""
    with suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
            if line.startswith("mnt_id:"):
                return line.split()[1]
    return ""


def _table() -> list[str]:
    """Return the lines of the kernel's table of mounts (proc(5)); none where it is not readable."""
    with suppress(OSError):
        return Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return []


def _outside(descriptor: int, fsid: int) -> Mount:
    """Return the mount of a chroot's root directory. The table leaves it out where that directory
    is no mount point."""
    device = os.fstat(descriptor).st_dev
    return Mount(
        "/",
        "unknown",
        "mounted outside of this root directory",
        fsid=fsid,
        uuid=_uuid(f"{os.major(device)}:{os.minor(device)}"),
    )


def _parsed(line: str, fsid: int) -> Mount:
    """Parse a line of the table (proc(5)): number, parent, device, root, point, options, fields, -,
    type, source, options."""
    before, _, after = line.partition(" - ")
    _, _, device, inside, point, *_ = before.split(" ")
    kind, source, *_ = after.split(" ")
    return Mount(_plain(point), kind, _plain(source), _plain(inside), fsid, _uuid(device))


def _uuid(device: str) -> str:
    """Return the UUID of the disk with this device number, MAJOR:MINOR; empty where the machine
    names no disks by it."""
    with suppress(OSError):
        for link in sorted(Path("/dev/disk/by-uuid").iterdir()):
            with suppress(OSError):
                number = link.stat().st_rdev
                if f"{os.major(number)}:{os.minor(number)}" == device:
                    return link.name
    return ""


def _in_fstab() -> list[str]:
    """Return the mount points in /etc/fstab that are mounted at boot."""
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
    """Decode a field of a table: spaces, tabs and line ends are written as octal numbers."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
