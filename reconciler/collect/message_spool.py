"""A message read to its end before anything is decided about it: in memory, large ones on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from reconciler.model.errors import DestinationUnavailable

_IN_MEMORY = 1 << 20
_CHUNK = 1 << 18


def spool(content: Iterable[bytes]) -> Iterator[bytes]:
    """Read `content` to its end now; what is returned yields it again, once. Where there is no room
    for it, that is DestinationUnavailable: the message waits like one that finds no room where it
    is delivered."""
    contents = _spooled(content)
    next(contents)
    return contents


def _spooled(content: Iterable[bytes]) -> Iterator[bytes]:
    # closing it writes what is buffered, and may fail
    spooled = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    try:
        for chunk in content:
            with _told():
                spooled.write(chunk)
        with _told():
            spooled.seek(0)
        yield b""
        while chunk := _read(spooled):
            yield chunk
    finally:
        with suppress(OSError):  # it was told, or what is buffered is not wanted any more
            spooled.close()


def _read(spooled: tempfile.SpooledTemporaryFile[bytes]) -> bytes:
    with _told():
        return spooled.read(_CHUNK)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationUnavailable(
            f"no room for a large message in {tempfile.gettempdir()}, where it is compared "
            f"before it is delivered: {error.strerror or error}; make room there, or set "
            "TMPDIR"
        ) from error
