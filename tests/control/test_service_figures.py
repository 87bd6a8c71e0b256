"""The figures that are kept in memory, and where they are recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reconciler.control.admission import Admission, AdmissionCounts
from reconciler.control.host_health import SessionTarget
from reconciler.control.host_limits import HostLimits
from reconciler.control.host_queues import Ticket
from reconciler.control.service_figures import Distribution, ServiceFigures, measure_lag
from reconciler.model.errors import ConnectionFailed
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from tests.control.manifests import save
from tests.control.test_controller import World
from tests.control.virtual import EPOCH, virtual


def test_a_value_counts_from_its_bound_on() -> None:
    found = Distribution([1, 5])
    for value in (0.5, 1, 3, 5, 6):
        found.add(value)
    assert found.cumulative() == [(1, 2), (5, 4), (float("inf"), 5)]
    assert (found.count, found.sum) == (5, 15.5)


def test_a_copy_stays_as_it_is() -> None:
    figures = ServiceFigures()
    figures.turn(0.1, 0.2, failed=True)
    copy = figures.copied()
    figures.turn(0.1, 0.2, failed=True)
    figures.applied(["start"])
    assert (copy.turn_seconds.count, copy.failed_turns, copy.plan_steps["start"]) == (1, 1, 0)
    assert (figures.turn_seconds.count, figures.failed_turns) == (2, 2)


def test_the_lag_is_what_the_event_loop_is_late() -> None:
    async def scenario() -> ServiceFigures:
        figures = ServiceFigures()
        task = asyncio.create_task(measure_lag(figures, 1.0))
        await asyncio.sleep(3.5)
        task.cancel()
        return figures

    assert virtual(scenario).loop_lag.cumulative()[0] == (0.001, 3)


def test_a_session_waits_from_when_it_is_due() -> None:
    async def scenario() -> list[float]:
        delays: list[float] = []
        admission = Admission(1, lambda _: HostLimits(1))
        admission.on_begun = delays.append
        begun: list[Ticket] = []
        for name in ("a", "b"):
            target = SessionTarget("imap.example.org", 993, name)
            admission.request(target, begun.append)
        assert admission.counts().queued == 1
        assert admission.counts().running == 1
        await asyncio.sleep(7)
        admission.release(begun[0])
        assert admission.counts().queued == 0
        return delays

    assert virtual(scenario) == [0, 7]


def test_who_waits_for_a_host_that_is_away_waits_apart_and_from_when_it_is_back() -> None:
    async def scenario() -> None:
        delays: list[float] = []
        admission = Admission(4, lambda _: HostLimits(1))
        admission.on_begun = delays.append
        target = SessionTarget("imap.example.org", 993)
        begun: list[Ticket] = []
        admission.join("a", target, 300)
        admission.request(target, begun.append)
        now = EPOCH
        failure = Failure(ConnectionFailed.reason, "refused")
        admission.learn(begun[0], SessionReport(now, now, Outcome.FAILED, error=failure))
        admission.release(begun[0])
        admission.request(target, begun.append)
        admission.request(target, begun.append)
        assert admission.counts() == AdmissionCounts(4, 0, queued=2, host_away=2)
        await asyncio.sleep(600)  # one of them tries the host
        assert admission.counts() == AdmissionCounts(4, 1, queued=1, host_away=1)
        admission.entered(begun[1])
        admission.release(begun[1])
        await asyncio.sleep(60)
        assert admission.counts() == AdmissionCounts(4, 1, queued=0, host_away=0)
        assert delays[0] == 0
        assert all(delay < 60 for delay in delays), "the outage counts for nobody"
        assert len(delays) == 2, "a session that tries a host that is away is no measure"

    virtual(scenario)


def test_a_pause_counts_for_no_session() -> None:
    async def scenario() -> list[float]:
        delays: list[float] = []
        admission = Admission(4, lambda _: HostLimits(1))
        admission.on_begun = delays.append
        admission.pause()
        admission.request(SessionTarget("imap.example.org", 993), lambda _: None)
        await asyncio.sleep(3600)
        admission.resume()
        return delays

    assert virtual(scenario) == [0]


def test_a_turn_that_somebody_waited_for_is_late(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "sales")
        turned = asyncio.Event()
        world.controller.on_turned(turned.set)
        task = asyncio.create_task(world.controller.run())
        figures = world.board.figures
        await asyncio.wait_for(turned.wait(), 20)
        turned.clear()
        world.controller.wake()
        await asyncio.wait_for(turned.wait(), 20)
        task.cancel()
        assert figures.turn_lateness.count == 2
        assert figures.turn_lateness.sum < 10
        assert figures.failed_turns == 0
        assert figures.plan_steps["start"] == 1

    asyncio.run(scenario())
