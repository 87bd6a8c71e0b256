"""A clock of the program's own, which can be moved while it runs; libfaketime's."""

from __future__ import annotations

from pathlib import Path

MISSING = (
    "moving the program's clock needs libfaketime: apt-get install libfaketime "
    "(`make test` does that)"
)


class Clock:
    """`environment` gives a program this clock. Timers, and the times of files, stay the
    machine's."""

    def __init__(self, path: Path) -> None:
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            raise RuntimeError(MISSING)
        self._path = path
        self.move(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def move(self, seconds: int) -> None:
        """So far from the machine's clock."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(f"{seconds:+}\n")
        draft.replace(self._path)
