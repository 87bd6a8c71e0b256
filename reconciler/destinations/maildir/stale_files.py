"""What crashes left in `tmp/` (hazard D7)."""

from __future__ import annotations

import os

from reconciler.destinations.maildir.delivery_names import SUFFIX
from reconciler.destinations.maildir.staging import remove

AGE = 36 * 3600.0
"""Seconds; what Maildir's author says."""


def clean(tmp: int) -> int:
    """Remove files of ours that are old and have no other link, and say how many. A second link
    shows that the mail is still somewhere; then the name is what its delivery is recognised by."""
    oldest = clock(tmp) - AGE
    with os.scandir(tmp) as entries:
        stale = [
            entry.name for entry in entries if SUFFIX in entry.name and _is_stale(entry, oldest)
        ]
    return sum(_removed(tmp, name) for name in stale)


def clock(directory: int) -> float:
    """What time it is where the files are, which may be another machine, or a process whose clock
    was set: seconds, as a file that is made now bears them. Where there are no files without a name
    (NFS), when the directory was changed last has to do: nothing is older than it is by that."""
    try:
        made = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError:
        return os.fstat(directory).st_mtime
    try:
        return os.fstat(made).st_mtime
    finally:
        os.close(made)


def _removed(tmp: int, name: str) -> bool:
    """One that cannot be removed does no harm; the mail that is being delivered is not to wait for
    it."""
    try:
        remove(tmp, name)
    except OSError:
        return False
    return True


def _is_stale(entry: os.DirEntry[str], oldest: float) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return status.st_nlink == 1 and status.st_mtime < oldest
