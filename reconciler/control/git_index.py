"""Find out whether git tracks anything in a directory, from its index (gitformat-index(5))."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from reconciler.manifests.manifest_files import read

_STAT = 40
"""Octets of stat data at the head of an entry."""
_EXTENDED = 0x4000
_LARGEST = 1 << 28
"""Octets of an index: millions of files."""
_LONGEST = 4_096
"""Octets of a path (PATH_MAX)."""
_SPLIT = b"link"
"""The extension of an index whose other half is in another file."""


def tracks(index: Path, directory: str, hash_size: int) -> bool:
    """Return whether git tracks a file in `directory`, a path below the root of the work tree.
    Return true for the root itself, "", and where the index is split, because the answer is then in
    another file. Raises OSError, Unreadable."""
    if not directory:
        return True
    status = index.stat()
    return _tracks(
        index,
        f"{directory}/".encode(),
        hash_size,
        (status.st_ino, status.st_size, status.st_mtime_ns),
    )


@functools.lru_cache(maxsize=4)
def _tracks(index: Path, prefix: bytes, hash_size: int, _stamp: tuple[int, ...]) -> bool:
    return any(
        name.startswith(prefix) or not name for name in _names(read(index, _LARGEST), hash_size)
    )


def _names(data: bytes, hash_size: int) -> Iterator[bytes]:
    """Yield the names of tracked files; at last an empty name where these are not all. Of a
    malformed index, yield those before the damage."""
    version, count = int.from_bytes(data[4:8]), int.from_bytes(data[8:12])
    place, name = 12, b""
    for _ in range(count):
        flags = place + _STAT + hash_size
        begin = flags + (4 if int.from_bytes(data[flags : flags + 2]) & _EXTENDED else 2)
        kept = 0
        if version == 4:
            dropped, begin = _number(data, begin)
            kept = len(name) - dropped
        end = data.find(b"\0", begin)
        if end < 0:
            return
        if kept + end - begin > _LONGEST:
            return
        name = name[:kept] + data[begin:end]
        yield name
        place = end + 1 if version == 4 else place + (end - place) // 8 * 8 + 8
    if data[place : place + 4] == _SPLIT:
        yield b""


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return a number in the encoding of pack files' offsets, and the index after it."""
    value = data[place] & 0x7F
    while data[place] & 0x80:
        place += 1
        value = (value + 1) << 7 | data[place] & 0x7F
    return value, place + 1
