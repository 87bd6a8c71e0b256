"""Opening what a manifest names only where the policy lets it stand, whatever links lead there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.model.errors import PolicyRefused
from reconciler.model.manifest_policy import Roots, is_beneath, is_within


@contextmanager
def opened_beneath(path: str, roots: Roots, what: str) -> Iterator[str]:
    """A path of what is really at `path`, which stays that whatever is changed meanwhile; `path`
    itself where `roots` allow everything. Nothing is opened for reading. Raises PolicyRefused,
    OSError."""
    if roots is None:
        yield path
        return
    _require(is_beneath(path, roots), path, roots, what)  # as it is written; then as it is
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        place = f"/proc/self/fd/{descriptor}"
        _require(_stands_in(str(Path(place).readlink()), roots), path, roots, what)
        yield place
    finally:
        os.close(descriptor)


def require_beneath(path: str, roots: Roots, what: str) -> None:
    """The same for what may not exist yet: where it would stand now. Raises PolicyRefused."""
    if roots is not None:
        _require(
            is_beneath(path, roots) and _stands_in(os.path.realpath(path), roots), path, roots, what
        )


def _stands_in(place: str, roots: tuple[str, ...]) -> bool:
    return any(is_within(place, os.path.realpath(root)) for root in roots)


def _require(fine: bool, path: str, roots: tuple[str, ...], what: str) -> None:
    if not fine:
        raise PolicyRefused(
            f"the policy does not allow the {what} {path}: it may stand in "
            f"{', '.join(roots) or 'no place'}"
        )
