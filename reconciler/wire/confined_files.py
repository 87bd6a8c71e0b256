"""Open files that a manifest names only where the policy allows them, wherever links lead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.model.errors import PolicyRefused
from reconciler.model.manifest_policy import Roots, is_beneath, is_within


@contextmanager
def opened_within(path: str, roots: Roots, what: str) -> Iterator[str]:
    """Provide a path of the file that is really at `path`, checked to be below one of `roots`.

    The provided path goes on naming that file whatever is changed meanwhile. It is `path` itself
    where `roots` allow everything. Nothing is opened for reading. `what` names the kind of file in
    the error. Raises PolicyRefused and OSError.
    """
    if roots is None:
        yield path
        return
    # The path as written is checked first, so that a refused one is not even opened. O_PATH then
    # pins the file, and the check is repeated on what it turned out to be.
    _require(is_beneath(path, roots), path, roots, what)
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        pinned = f"/proc/self/fd/{descriptor}"
        _require(_lies_within(str(Path(pinned).readlink()), roots), path, roots, what)
        yield pinned
    finally:
        os.close(descriptor)


def require_within(path: str, roots: Roots, what: str) -> None:
    """Check a path that may not exist yet, by where it would be now. Raises PolicyRefused."""
    if roots is None:
        return
    allowed = is_beneath(path, roots) and _lies_within(os.path.realpath(path), roots)
    _require(allowed, path, roots, what)


def _lies_within(real_path: str, roots: tuple[str, ...]) -> bool:
    return any(is_within(real_path, os.path.realpath(root)) for root in roots)


def _require(allowed: bool, path: str, roots: tuple[str, ...], what: str) -> None:
    if not allowed:
        raise PolicyRefused(
            f"the policy does not allow the {what} {path}: it may stand in "
            f"{', '.join(roots) or 'no place'}"
        )
