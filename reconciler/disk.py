"""What the disk keeps."""

from __future__ import annotations

import os
from pathlib import Path


def sync_names(directory: Path | str) -> None:
    """Make the names in it durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
