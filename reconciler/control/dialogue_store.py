"""Keep the dialogues of the last sessions and checks, and show those in progress.

They are in memory, packed, within a bound for all collectors together. Those that failed outlast
the others, and a restart: they are in files as well (`control.dialogue_files`).
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from reconciler.control.dialogue_files import DialogueFiles
from reconciler.control.running_dialogues import RunningDialogues
from reconciler.model.session_dialogue import SessionDialogue

BOUND = 12 << 20
"""Octets of all dialogues that are over."""
EACH = 2
"""The number of dialogues of each collector that are kept: of those that failed, of the others, and
of its push connections, each."""
_OVERHEAD = 300
"""Octets that a dialogue takes besides its lines."""


class _KeptDialogue(Struct, frozen=True):
    collector: str
    failed: bool
    is_push: bool
    packed: bytes

    @property
    def octets(self) -> int:
        return len(self.packed) + _OVERHEAD


class DialogueStore:
    """The dialogues of all collectors. Thread-safe."""

    def __init__(
        self, files: DialogueFiles | None = None, *, ends: bool = False, bound: int = BOUND
    ) -> None:
        """`ends`: the process ends after its sessions, so that each dialogue goes into a file."""
        self._files = files
        self._ends = ends
        self._bound = bound
        self.running = RunningDialogues()
        self._lock = threading.Lock()
        self._number = 0
        self._kept: dict[int, _KeptDialogue] = {}
        """The dialogues by their number, in the order in which they came."""
        self._of: dict[str, list[int]] = {}
        self.octets = 0
        """The octets that all dialogues take; see `BOUND`."""

    def add(self, collector: str, dialogue: SessionDialogue) -> None:
        """Keep a dialogue, and let older ones go where there is no room."""
        if self._files is not None and (
            self._ends or (dialogue.failed and dialogue.what == "session")
        ):
            self._files.add(collector, dialogue)
        packed = zlib.compress(msgspec.msgpack.encode(dialogue), 1)
        with self._lock:
            self._add(_KeptDialogue(collector, dialogue.failed, dialogue.what == "push", packed))

    def dialogues(self, collector: str) -> Sequence[SessionDialogue]:
        """Return what runs and what is kept of a collector, the newest first. Blocking."""
        running = self.running.dialogues(collector)  # at first: what ends meanwhile is kept by then
        with self._lock:
            packed = [self._kept[number].packed for number in self._of.get(collector, ())]
        found = [
            msgspec.msgpack.decode(zlib.decompress(one), type=SessionDialogue) for one in packed
        ]
        if self._files is not None:
            began = {one.started_at for one in found}
            found += [one for one in self._files.read(collector) if one.started_at not in began]
        over = {one.started_at for one in found}
        found += [one for one in running if one.started_at not in over]
        return sorted(found, key=lambda one: one.started_at, reverse=True)

    def forget_old(self) -> None:
        """Remove files of collectors that have not failed for long. Blocking."""
        if self._files is not None:
            self._files.forget_old()

    def _add(self, kept: _KeptDialogue) -> None:
        self._number += 1
        self._kept[self._number] = kept
        numbers = self._of.setdefault(kept.collector, [])
        numbers.append(self._number)
        self.octets += kept.octets
        kind = kept.failed, kept.is_push
        alike = [
            number
            for number in numbers
            if (self._kept[number].failed, self._kept[number].is_push) == kind
        ]
        for number in alike[:-EACH]:
            self._drop(number)
        while self.octets > self._bound:
            self._drop(self._oldest())

    def _oldest(self) -> int:
        """Return the oldest one that is of a push connection or did not fail; where all others
        failed, the oldest."""
        return next(
            (number for number, one in self._kept.items() if one.is_push or not one.failed),
            next(iter(self._kept)),
        )

    def _drop(self, number: int) -> None:
        kept = self._kept.pop(number)
        self.octets -= kept.octets
        numbers = self._of[kept.collector]
        numbers.remove(number)
        if not numbers:
            del self._of[kept.collector]
