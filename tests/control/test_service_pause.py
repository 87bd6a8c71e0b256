"""A pause of the whole service: what keeps it, what it holds back, and what goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.collect.backoff import next_backoff
from reconciler.control.admission import Admission
from reconciler.control.check_requests import CheckRequests
from reconciler.control.control_service import ControlService
from reconciler.control.controller import Controller
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import provider_limits
from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.observation import ManifestDirectory
from reconciler.control.pause_switch import PauseSwitch
from reconciler.control.running_set import RunningSet
from reconciler.control.service_pause import FILE, PauseNotKept, ServicePause
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.control.status_board import StatusBoard
from reconciler.model.collector_state import CollectorState, state_of
from reconciler.model.outcomes import Outcome, SessionReport
from reconciler.model.status import CheckReport
from reconciler.planning.desired_state import DesiredCollector
from tests.control.doubles import MemoryRegistry
from tests.control.manifests import save, text

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_pause_is_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE
    ServicePause(path).begin("anna", "  the server moves ", NOON)

    again = ServicePause(path)

    assert again.current is not None
    assert again.current.as_json() == {
        "by": "anna",
        "why": "the server moves",
        "since": "2026-01-02T12:00:00.000000Z",
    }
    assert path.stat().st_mode & 0o777 == 0o600
    again.end()
    assert ServicePause(path).current is None
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_pause_counts(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")

    found = ServicePause(tmp_path / FILE).current

    assert found is not None
    assert "cannot be read" in found.sentence


def test_a_pause_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    pause = ServicePause(tmp_path / "missing" / FILE)

    with pytest.raises(PauseNotKept, match="cannot be written"):
        pause.begin("anna", "", NOON)
    assert pause.current is None


class _Sessions:
    """Counts the sessions that run."""

    def __init__(self) -> None:
        self.count = 0
        self.loop = asyncio.get_running_loop()
        self.began = asyncio.Event()

    def run(self, _collector: DesiredCollector, _control: SessionControl) -> SessionReport:
        self.count += 1
        self.loop.call_soon_threadsafe(self.began.set)
        now = Clock().now()
        return SessionReport(now, now, Outcome.SUCCEEDED)


async def _with_service(
    root: Path, act: Callable[[ControlService, _Sessions], Coroutine[Any, Any, None]]
) -> None:
    """Run a control service whose pause is kept beside its manifests."""
    registry, clock, sessions = MemoryRegistry(), Clock(), _Sessions()
    board, admission = StatusBoard(clock), Admission(4, provider_limits)
    pool = SessionPool(sessions.run, next_backoff, registry, 4, clock.now)
    loops = RunningSet(pool, admission, clock, board)
    controller = Controller(ManifestDirectory(root), registry, loops, board, clock)
    board.connect(loops.state, controller.loop_ended)
    checks = CheckRequests(
        lambda one, _: CheckReport(name=one.name, ok=True, steps=()), admission, loops
    )
    control = ControlService(controller, loops, board, registry, checks, clock)
    control.pauses = PauseSwitch(ServicePause(root.parent / FILE), admission, board, clock)
    await controller.turn()
    try:
        await act(control, sessions)
    finally:
        checks.close()
        await loops.shut_down(5, 5)
        pool.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    save(root, "sales", text("sales"))
    save(root, "off", text("off", enabled="false"))
    return root


def test_nothing_starts_while_paused_and_everything_afterwards(root: Path) -> None:
    ServicePause(root.parent / FILE).begin("anna", "the server moves", NOON)

    async def act(control: ControlService, sessions: _Sessions) -> None:
        shown = {one.metadata.name: one for one in control.list()}
        assert state_of(shown["sales"]) is CollectorState.PAUSED
        assert state_of(shown["off"]) is CollectorState.DISABLED
        assert shown["sales"].status.next_session is None
        ready = shown["sales"].status.conditions[0]
        assert (ready.status, ready.reason) == ("Unknown", "Paused")
        assert "anna" in ready.message
        assert "the server moves" in ready.message
        with pytest.raises(SessionRefused, match="paused by anna"):
            control.collect("sales")
        assert (await control.check("sales")).ok  # what somebody asks for collects nothing
        assert sessions.count == 0
        assert control.ready

        await control.resume("boris")

        await asyncio.wait_for(sessions.began.wait(), 60)
        assert control.paused is None
        assert not (root.parent / FILE).exists()

    asyncio.run(_with_service(root, act))


def test_pausing_is_shown_and_outlasts_the_process(root: Path) -> None:
    async def act(control: ControlService, sessions: _Sessions) -> None:
        await asyncio.wait_for(sessions.began.wait(), 60)
        await control.pause("anna", "")
        (shown,) = control.list("sales")
        assert state_of(shown) is CollectorState.PAUSED

    asyncio.run(_with_service(root, act))

    assert ServicePause(root.parent / FILE).current is not None
