"""What crashes left in `tmp/` (hazard D7)."""

from __future__ import annotations

import os
import time

from reconciler.destinations.maildir.names import SUFFIX
from reconciler.destinations.maildir.staging import remove

AGE = 36 * 3600.0
"""Seconds; what Maildir's author says."""


def clean(tmp: int) -> int:
    """Remove files of ours that are old and have no other link, and say how many. A second link shows that the mail is
    still somewhere; then the name is what its delivery is recognised by."""
    oldest = time.time() - AGE
    with os.scandir(tmp) as entries:
        stale = [entry.name for entry in entries if SUFFIX in entry.name and _is_stale(entry, oldest)]
    for name in stale:
        remove(tmp, name)
    return len(stale)


def _is_stale(entry: os.DirEntry[str], oldest: float) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return status.st_nlink == 1 and status.st_mtime < oldest
