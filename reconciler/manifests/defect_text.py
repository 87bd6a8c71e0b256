"""The description of an internal error without its message, which might contain a secret."""

from __future__ import annotations

import traceback
from pathlib import Path


def place_of(defect: BaseException) -> str:
    """Return the exception's type and the innermost line of this package in its traceback, such as
    `ValueError, manifests/loading.py:46`."""
    package = Path(__file__).parents[1]
    frames = [
        frame
        for frame in traceback.extract_tb(defect.__traceback__)
        if Path(frame.filename).is_relative_to(package)
    ]
    where = (
        f", {Path(frames[-1].filename).relative_to(package)}:{frames[-1].lineno}" if frames else ""
    )
    return f"{type(defect).__name__}{where}"
