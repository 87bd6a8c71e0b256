"""Keep the last dialogues of each collector in a small file of the state directory (mode 0600)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reconciler.disk import replace_file
from reconciler.log import log
from reconciler.model.history import KEPT
from reconciler.model.scalar_types import is_name
from reconciler.model.session_dialogue import SessionDialogue

DIRECTORY = "dialogues"
"""The name of the directory in the state directory."""
IN_FILE = 3
"""Dialogues in a file."""
_LIMIT = 1 << 20


class DialogueFiles:
    """Reads and writes the files in `directory`, which is made when it is needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._warned = False

    def add(self, collector: str, dialogue: SessionDialogue) -> None:
        """Add a dialogue to a collector's file. Where that fails, the log says so once: a session
        does not fail for it."""
        try:
            with self._lock:
                self._write(collector, [dialogue, *self.read(collector)][:IN_FILE])
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "dialogues are not kept", directory=str(self._directory), error=error.strerror
                )

    def read(self, collector: str) -> Sequence[SessionDialogue]:
        """Return what a collector's file has, the newest first; nothing where it has none that can
        be read."""
        if not is_name(collector):
            return ()
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(self._path(collector), flags), "rb") as file:
                return msgspec.json.decode(file.read(_LIMIT), type=list[SessionDialogue])
        except (OSError, msgspec.DecodeError):
            return ()

    def forget_old(self) -> None:
        """Remove files that nothing was added to for as long as a history is kept."""
        oldest = (datetime.now(UTC) - KEPT).timestamp()
        with suppress(OSError):  # there is none yet
            for path in self._directory.iterdir():
                if path.lstat().st_mtime < oldest:
                    path.unlink(missing_ok=True)

    def _write(self, collector: str, dialogues: Sequence[SessionDialogue]) -> None:
        if not is_name(collector):
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        content = msgspec.json.encode(dialogues) + b"\n"
        replace_file(self._path(collector), content, durable=False)

    def _path(self, collector: str) -> Path:
        return self._directory / f"{collector}.json"
