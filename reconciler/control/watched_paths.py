"""The directory entries that decide where a path leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

_HOPS = 40
"""Links on one way, as the kernel counts them (path_resolution(7)); a loop ends there."""


def entries_on_way(path: Path) -> Iterator[Path]:
    """Yield each path whose creation, replacement or removal may change the target of `path`: each
    link on the way, the first entry that does not exist, and the target itself. Their parents are
    real paths of directories that exist."""
    left = _parts(path.absolute())
    here, hops = Path("/"), 0
    while left and hops <= _HOPS:
        name = left.pop()
        if name == "..":
            here = here.parent
            continue
        place = here / name
        target = _target(place)
        if target is None:
            if not left or not place.is_dir():
                yield place
                return
            here = place
            continue
        yield place
        hops += 1
        left.extend(_parts(target))
        here = Path("/") if target.is_absolute() else here


def _parts(path: PurePath) -> list[str]:
    """Return the names of a path, the last one first."""
    return [part for part in reversed(path.parts) if part != "/"]


def _target(place: Path) -> PurePath | None:
    """Return where a link points; None where `place` is no link."""
    try:
        return PurePath(place.readlink())
    except OSError:
        return None
