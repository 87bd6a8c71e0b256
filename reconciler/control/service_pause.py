"""The pause of the whole service, in a file of the state directory, so that it survives a restart.
The file names the person who asked for it, and the reason."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from reconciler.disk import open_file, replace_file
from reconciler.model.errors import CollectorError
from reconciler.model.timestamps import timestamp

FILE = "paused.json"
"""The file's name in the state directory."""
LONGEST = 500
"""Characters of a reason that are kept."""
_LIMIT = 65_536


class PauseNotKept(CollectorError):
    """The file of the pause cannot be written or removed."""

    reason = "NotWritten"


class Pause(Struct, frozen=True):
    """A pause: who asked for it, why, and when it began."""

    by: str
    why: str
    since: datetime

    def as_json(self) -> dict[str, str]:
        return {"by": self.by, "why": self.why, "since": timestamp(self.since)}

    @property
    def sentence(self) -> str:
        """The text of a condition's message."""
        return f"paused by {self.by} since {timestamp(self.since)}" + (
            f": {self.why}" if self.why else ""
        )


class ServicePause:
    """The pause that is kept in `path`. `current` is None while the service is not paused."""

    def __init__(self, path: Path | None) -> None:
        """Read the pause in `path`. Without a path, a pause ends with the process."""
        self._path = path
        self.current = read_pause(path) if path is not None else None

    def begin(self, by: str, why: str, now: datetime) -> Pause:
        """Keep a pause, and return it. Blocking. Raises PauseNotKept."""
        found = Pause(by, why.strip()[:LONGEST], now)
        if self._path is not None:
            try:
                replace_file(self._path, msgspec.json.encode(found) + b"\n")
            except OSError as error:
                raise PauseNotKept(f"{self._path} cannot be written: {error.strerror}") from error
        self.current = found
        return found

    def end(self) -> None:
        """End the pause, and remove its file. Blocking. Raises PauseNotKept."""
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise PauseNotKept(f"{self._path} cannot be removed: {error.strerror}") from error
        self.current = None


def read_pause(path: Path) -> Pause | None:
    """Return the pause in a file; None where there is no file. An unreadable file counts as a
    pause: somebody wanted one."""
    try:
        with os.fdopen(open_file(path, os.O_RDONLY, follow=True), "rb") as file:
            return msgspec.json.decode(file.read(_LIMIT), type=Pause)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        trouble = error.strerror if isinstance(error, OSError) else type(error).__name__
        why = f"{path.name} cannot be read: {trouble}; resume the service to remove it"
        return Pause("an unreadable file", why, datetime.now(UTC).replace(microsecond=0))
