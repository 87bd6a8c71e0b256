"""Pause the whole service: no session starts by itself, and every collector says so."""

from __future__ import annotations

from reconciler.control.admission import Admission
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.service_pause import Pause, ServicePause
from reconciler.control.status_board import StatusBoard
from reconciler.log import log


class PauseSwitch:
    """Pauses and resumes the service. A pause from an earlier process is in force at once."""

    def __init__(
        self, kept: ServicePause, admission: Admission, board: StatusBoard, clock: Clock
    ) -> None:
        self._kept = kept
        self._admission = admission
        self._board = board
        self._clock = clock
        self._threads = ThreadPool("pause", 1)
        if kept.current is not None:
            log.warning("paused", by=kept.current.by, why=kept.current.why)
            self._show(kept.current)

    @property
    def current(self) -> Pause | None:
        """The pause in force; None while the service runs."""
        return self._kept.current

    async def pause(self, by: str, why: str) -> Pause:
        """Start no further session. Running ones end after the message in hand. Raises
        PauseNotKept."""
        found = await self._threads.run(self._kept.begin, by, why, self._clock.now())
        log.warning("paused", by=by, why=found.why)
        self._show(found)
        return found

    async def resume(self, by: str) -> None:
        """End the pause. Raises PauseNotKept."""
        if self._kept.current is None:
            return
        await self._threads.run(self._kept.end)
        log.info("resumed", by=by)
        self._admission.resume()
        self._board.pause("")

    def _show(self, found: Pause) -> None:
        self._admission.pause()
        self._board.pause(found.sentence)
