"""A message that is read to its end before anything is decided about it."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.collect.incoming_message import spool
from reconciler.model.errors import ConnectionFailed, DestinationUnavailable

LARGE = [b"x" * (1 << 20)] * 3


class Full(tempfile.SpooledTemporaryFile[bytes]):
    """Where there is room for nothing that is not in memory."""

    def rollover(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "content", [[], [b"small"], LARGE], ids=["nothing", "in memory", "on disk"]
)
def test_it_comes_out_as_it_went_in_and_is_read_at_once(content: list[bytes]) -> None:
    coming = iter(content)
    spooled = spool(coming)
    assert next(coming, None) is None
    assert b"".join(spooled) == b"".join(content)


def test_D8_a_full_disk_is_an_error_of_ours_that_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(
        DestinationUnavailable, match=f"in {tmp_path}, .*No space left on device; make room there"
    ):
        spool(LARGE)


@pytest.mark.parametrize("call", ["seek", "read"])
def test_D8_a_disk_that_fails_later_is_one_too(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    bad = type("Bad", (tempfile.SpooledTemporaryFile,), {call: failing})
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", bad)
    with pytest.raises(DestinationUnavailable, match="Input/output error"):
        list(spool([b"x"]))


def test_what_the_source_raises_is_the_sources() -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionFailed("reset")

    with pytest.raises(ConnectionFailed):
        spool(broken())
