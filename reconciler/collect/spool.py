"""A message read to its end before anything is decided about it: in memory, large ones on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 18


def spool(content: Iterable[bytes]) -> Iterator[bytes]:
    """Read `content` to its end now; what is returned yields it again, once."""
    contents = _spooled(content)
    next(contents)
    return contents


def _spooled(content: Iterable[bytes]) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spooled:
        for chunk in content:
            spooled.write(chunk)
        spooled.seek(0)
        yield b""
        while chunk := spooled.read(_CHUNK):
            yield chunk
