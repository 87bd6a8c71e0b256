"""The transcripts of connections that stay open for days, within a bound for all of them.

Where it is reached, the lines of the connection that was opened first are forgotten.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from reconciler.model.secret_parts import SecretParts
from reconciler.model.session_dialogue import DialogueLine, Direction
from reconciler.wire.transcript import KEPT, LINES, Transcript

BOUND = 4 << 20
"""Octets that all of them take."""
_EACH = 3000
"""Octets that a transcript takes without lines."""
_LINE = 220
"""Octets that a line takes besides its text."""


class PushTranscripts:
    """The transcripts of the connections that are open. Thread-safe."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._taken: dict[PushTranscript, int] = {}
        """The octets of each transcript, in the order in which the connections were opened."""
        self.octets = 0
        """The octets that all transcripts take; see `BOUND`."""

    def begin(self) -> PushTranscript:
        """Return the transcript of a connection that is opened."""
        transcript = PushTranscript(self)
        with self._lock:
            self._taken[transcript] = 0
        self.grow(transcript, _EACH)
        return transcript

    def end(self, transcript: PushTranscript) -> None:
        """Forget the transcript of a connection that is closed; harmless where that was done."""
        with self._lock:
            self._forget(transcript)

    def grow(self, transcript: PushTranscript, octets: int) -> None:
        """Note that a transcript has grown, and forget others where there is no room."""
        with self._lock:
            if transcript not in self._taken:
                return
            self._taken[transcript] += octets
            self.octets += octets
            while self.octets > self._bound:
                self._forget(next(iter(self._taken)))

    def _forget(self, transcript: PushTranscript) -> None:
        self.octets -= self._taken.pop(transcript, 0)
        transcript.clear()


class PushTranscript(Transcript):
    """The lines of one connection that stays open: none once they are forgotten."""

    def __init__(self, all_of_them: PushTranscripts) -> None:
        super().__init__()
        self._all = all_of_them
        self._lock = threading.Lock()
        self._cleared = False

    def add(self, name: str, direction: Direction, text: bytes) -> None:
        """See `Transcript`."""
        octets = _LINE + min(len(text), KEPT)
        with self._lock:
            if self._cleared:
                return
            if len(self._last) == LINES:  # its oldest line makes room
                octets -= _LINE + len(self._last[0][-1])
            super().add(name, direction, text)
        self._all.grow(self, octets)

    def lines(self) -> Iterator[DialogueLine]:
        """See `Transcript`."""
        with self._lock:
            return iter(tuple(super().lines()))

    def forget_secrets(self) -> None:
        """Remove the secrets from the lines, and forget them: they are not to be in memory for as
        long as the connection is open."""
        with self._lock:
            parts = SecretParts(self._secrets, self._responses)
            self._first = [(*line[:-1], parts.hide(line[-1])) for line in self._first]
            last = [(*line[:-1], parts.hide(line[-1])) for line in self._last]
            self._last = deque(last, LINES)
            self._secrets.clear()
            self._responses.clear()

    def clear(self) -> None:
        """Forget everything, and keep no more."""
        with self._lock:
            self._cleared = True
            self._first.clear()
            self._last.clear()
            self._secrets.clear()
            self._responses.clear()
