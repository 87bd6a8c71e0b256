"""The running set, in virtual time: when sessions start, what stops them, and who is never
disturbed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.control.admission import Admission
from reconciler.control.host_limits import HostLimits
from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.loop_state import CollectorVersion, LoopState
from reconciler.control.running_set import RunningSet
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome
from reconciler.planning.desired_state import desire
from reconciler.planning.observed_manifests import Declaration
from reconciler.planning.reconcile_plan import Plan, plan
from tests.control.doubles import Told, VirtualSessions, later
from tests.control.virtual import VirtualClock, virtual
from tests.planning.build import collector, observed

A, B = collector("a", collect={"interval": "1m"}), collector("b", collect={"interval": "1m"})


class World:
    """Loops over virtual sessions, driven by what is declared."""

    def __init__(self, sessions: int = 32, per_host: int = 32) -> None:
        self.clock = VirtualClock()
        self.told = Told()
        self.sessions = VirtualSessions(self.clock)
        self.stamp = "old"
        self.loops = RunningSet(
            self.sessions,
            Admission(sessions, lambda _: HostLimits(per_host)),
            self.clock,
            self.told,
            lambda _: self.stamp,
        )
        self.retries: dict[str, Retry] = {}
        self.generation = 0

    def declare(self, *declarations: Declaration) -> Plan:
        self.generation += 1
        desired = desire(observed(*declarations), {})
        versions = {
            name: CollectorVersion(found, self.generation)
            for name, found in desired.collectors.items()
        }
        steps = plan(desired, self.loops.actual())
        self.loops.apply(steps, versions, self.retries)
        return steps

    def starts(self, name: str) -> list[float]:
        return [round(at, 3) for at in self.sessions.starts(name)]


def test_new_ones_start_at_once_and_intervals_run_from_start_to_start() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A, B)
        await asyncio.sleep(150)
        assert world.starts("a") == world.starts("b") == [0, 60, 120]

    virtual(scenario)


def test_a_session_longer_than_the_interval_is_followed_at_once() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.length = 90
        world.declare(A)
        await asyncio.sleep(200)
        assert world.starts("a") == [0, 90, 180]

    virtual(scenario)


def test_R2_a_wall_clock_that_jumps_moves_no_session() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(30)
        world.clock.jumped = timedelta(hours=1)
        await asyncio.sleep(60)
        world.clock.jumped = timedelta(hours=-1)
        await asyncio.sleep(60)
        assert world.starts("a") == [0, 60, 120]

    virtual(scenario)


def test_many_are_spread_and_always_the_same_way() -> None:
    async def scenario() -> dict[str, float]:
        world = World(sessions=1000, per_host=1000)
        world.declare(*(collector(f"c{number}") for number in range(200)))
        await asyncio.sleep(15)
        first = dict(world.sessions.started)
        assert len(first) == 200
        assert 0 <= min(first.values()) < 1
        assert 9 < max(first.values()) < 10
        assert (
            max(sum(second <= at < second + 1 for at in first.values()) for second in range(10))
            < 50
        )
        return first

    assert virtual(scenario) == virtual(scenario)


def test_an_unchanged_one_is_never_restarted() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A, B)
        before = world.loops.state("b")
        await asyncio.sleep(10)
        world.declare(collector("a", collect={"interval": "2m"}), B)
        await asyncio.sleep(1)
        world.declare(B)
        await asyncio.sleep(60)
        after = world.loops.state("b")
        assert before is not None
        assert after is not None
        assert after.started_at == before.started_at
        assert world.starts("b") == [0, 60]

    virtual(scenario)


def test_changed_labels_are_taken_over_without_a_restart() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(10)
        world.declare(collector("a", collect={"interval": "1m"}, labels={"team": "x"}))
        await asyncio.sleep(55)
        assert world.starts("a") == [0, 60]
        assert world.sessions.works[-1].collector.labels == {"team": "x"}

    virtual(scenario)


def test_a_changed_one_finishes_its_message_and_starts_again_at_once() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.length = 100
        world.declare(A)
        await asyncio.sleep(10)
        world.declare(collector("a", collect={"interval": "2m"}))
        state = world.loops.state("a")
        assert state is not None
        assert (state.observed_generation, state.state) == (1, LoopState.RUNNING)
        await asyncio.sleep(5)
        state = world.loops.state("a")
        assert state is not None
        assert (state.observed_generation, state.awaiting_first) == (2, True)
        [(_, interrupted)] = world.told.finished_reports
        assert interrupted.outcome is Outcome.INTERRUPTED
        assert len(world.starts("a")) == 2
        assert 10.5 <= world.starts("a")[1] <= 10.625
        assert state.started_at == later(world.clock.now(), world.starts("a")[1] - 15)

    virtual(scenario)


def test_a_removed_one_finishes_its_message_and_is_gone() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A, B)
        await asyncio.sleep(0.2)
        world.declare(B)
        assert "a" in world.loops
        await asyncio.sleep(1)
        assert "a" not in world.loops
        assert world.told.ended_names == ["a"]
        await asyncio.sleep(100)
        assert world.starts("a") == [0]

    virtual(scenario)


def test_one_that_comes_back_while_it_ends_never_has_two_sessions() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.length = 20
        world.declare(A)
        await asyncio.sleep(5)
        world.declare()
        world.declare(A)
        await asyncio.sleep(5)
        assert len(world.starts("a")) == 2
        assert world.told.ended_names == []

    virtual(scenario)


def test_R1_sessions_are_bounded_and_waiting_ones_hold_no_slot() -> None:
    async def scenario() -> None:
        world = World(sessions=2)
        world.declare(*(collector(f"c{number}") for number in range(6)))
        await asyncio.sleep(10)
        assert world.sessions.most == 2
        assert [at for _, at in world.sessions.started] == [0, 0, 1, 1, 2, 2]

    virtual(scenario)


def test_R4_a_host_with_many_does_not_delay_the_others() -> None:
    async def scenario() -> None:
        world = World(sessions=10, per_host=2)
        crowd = [collector(f"c{number}") for number in range(8)]
        other = collector(
            "other",
            source={
                "protocol": "imap",
                "host": "elsewhere.example",
                "username": "u",
                "password": {"env": "P"},
            },
        )
        world.declare(*crowd, other)
        await asyncio.sleep(10)
        assert world.starts("other") == [0]
        assert sorted(at for name, at in world.sessions.started if name != "other") == [
            0,
            0,
            1,
            1,
            2,
            2,
            3,
            3,
        ]

    virtual(scenario)


# -- back-off

NETWORK = Failure("ConnectionFailed", "refused")
THROTTLED = Failure("Throttled", "too many connections")
LOGIN = Failure("AuthenticationFailed", "wrong password")


def test_a_failure_is_retried_when_its_back_off_ends() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.failure = Failure("DestinationUnavailable", "no")
        world.declare(A)
        await asyncio.sleep(200)
        assert world.starts("a") == [0, 61, 182]

    virtual(scenario)


@pytest.mark.parametrize(
    ("failure", "force", "refused"),
    [
        (NETWORK, False, False),
        (THROTTLED, False, True),
        (THROTTLED, True, True),
        (LOGIN, False, True),
        (LOGIN, True, False),
    ],
)
def test_collect_now_against_a_back_off(failure: Failure, force: bool, refused: bool) -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.failure = failure
        world.declare(A)
        await asyncio.sleep(5)
        if refused:
            with pytest.raises(SessionRefused) as error:
                world.loops.collect_now("a", force=force)
            assert error.value.reason == failure.reason
            assert error.value.next_attempt is not None
        else:
            await world.loops.collect_now("a", force=force)
            assert world.starts("a") == [0, 5]

    virtual(scenario)


def test_a_back_off_that_was_kept_is_honoured_after_a_restart_for_the_same_spec() -> None:
    async def scenario() -> None:
        world = World()
        digest = desire(observed(A), {}).collectors["a"].effective_digest
        until = later(world.clock.now(), 42)
        world.retries = {
            "a": Retry("DestinationUnavailable", "", 3, until, digest),
            "b": Retry("DestinationUnavailable", "", 3, until, "another"),
        }
        world.declare(A, B)
        await asyncio.sleep(50)
        assert world.starts("a") == [42]
        assert world.starts("b") == [0]

    virtual(scenario)


def test_a_changed_secret_ends_the_back_off_that_is_for_it_and_no_other() -> None:
    async def scenario() -> None:
        world = World()
        until = later(world.clock.now(), 3600)
        digests = {
            name: found.effective_digest
            for name, found in desire(observed(A, B), {}).collectors.items()
        }
        world.retries = {
            "a": Retry("AuthenticationFailed", "", 3, until, digests["a"], "old"),
            "b": Retry("SourceUnsuitable", "", 4, until, digests["b"]),
        }
        world.declare(A, B)
        waiting = world.loops.awaiting_secrets()
        assert [name for name, *_ in waiting] == ["a"]
        assert not any(one.changed for one in world.loops.changed_secrets(waiting))
        await asyncio.sleep(20)
        with pytest.raises(SessionRefused):
            world.loops.collect_now("a")
        world.stamp = "new"
        world.loops.secrets_changed(world.loops.changed_secrets(waiting))
        await asyncio.sleep(20)
        assert world.starts("a") == [20]
        assert world.starts("b") == []

    virtual(scenario)


def test_a_changed_secret_is_seen_by_whoever_asks_to_collect() -> None:
    async def scenario() -> None:
        world = World()
        digest = desire(observed(A), {}).collectors["a"].effective_digest
        world.retries = {
            "a": Retry("AuthenticationFailed", "", 3, later(world.clock.now(), 3600), digest, "old")
        }
        world.declare(A)
        world.stamp = "new"
        assert (await world.loops.collect_now("a")).outcome is Outcome.SUCCEEDED

    virtual(scenario)


# -- asked for


def test_collect_now_starts_at_once_and_the_interval_counts_from_there() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(20)
        done = await world.loops.collect_now("a")
        assert done.outcome is Outcome.SUCCEEDED
        await asyncio.sleep(100)
        assert world.starts("a") == [0, 20, 80]

    virtual(scenario)


def test_collect_now_while_one_runs_waits_for_one_that_finds_what_has_arrived() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(0.5)
        both = [world.loops.collect_now("a") for _ in range(2)]
        assert [report.outcome for report in await asyncio.gather(*both)] == 2 * ["succeeded"]
        assert world.starts("a") == [0, 1]
        assert world.clock.monotonic() == pytest.approx(2)
        await asyncio.sleep(30)
        assert world.starts("a") == [0, 1]

    virtual(scenario)


def test_collect_now_before_the_server_lets_a_session_in_joins_it() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.lets_in = False
        world.declare(A)
        await asyncio.sleep(0.5)
        assert (await world.loops.collect_now("a")).outcome is Outcome.SUCCEEDED
        assert world.starts("a") == [0]

    virtual(scenario)


@pytest.mark.parametrize("end", ["failed", "interrupted", "removed"])
def test_collect_now_while_one_runs_that_does_not_succeed_has_its_report(end: str) -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A)
        await asyncio.sleep(0.5)
        asked = world.loops.collect_now("a")
        if end == "failed":
            world.sessions.failure = Failure("ConnectTimeout", "no answer")
        elif end == "interrupted":
            world.declare(collector("a", collect={"interval": "2m"}))
        else:
            world.declare()
        report = await asked
        assert report.outcome is (Outcome.FAILED if end == "failed" else Outcome.INTERRUPTED)

    virtual(scenario)


def test_collect_now_of_one_that_is_removed_meanwhile_ends_as_interrupted() -> None:
    async def scenario() -> None:
        world = World(sessions=1)
        world.declare(A, B)
        await asyncio.sleep(0.1)
        waiting = world.loops.collect_now("b")
        world.declare(A)
        assert (await waiting).outcome is Outcome.INTERRUPTED
        with pytest.raises(SessionRefused):
            world.loops.collect_now("b")

    virtual(scenario)


def test_quiet_stops_the_session_and_starts_none_of_its_own() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.length = 10
        world.declare(A)
        await asyncio.sleep(2)
        async with world.loops.quiet("a"):
            assert not world.sessions.running
            assert world.clock.monotonic() < 3
            await asyncio.sleep(5)
        await asyncio.sleep(50)
        assert world.starts("a") == [0]
        await asyncio.sleep(10)
        assert world.starts("a") == [0, 60]

    virtual(scenario)


def test_what_is_due_or_asked_for_while_quiet_comes_afterwards() -> None:
    async def scenario() -> None:
        world = World()
        world.declare(A, B)
        await asyncio.sleep(10)
        async with world.loops.quiet("a"), world.loops.quiet("b"):
            asked = world.loops.collect_now("b")
            await asyncio.sleep(90)
        await asked
        assert world.starts("a") == [0, 100]
        assert world.starts("b") == [0, 100]

    virtual(scenario)


def test_shut_down_lets_messages_finish_and_then_gives_up() -> None:
    async def scenario() -> None:
        world = World()
        world.sessions.length = 100
        world.declare(A)
        await asyncio.sleep(1)
        assert await world.loops.shut_down(3, 3)
        assert world.clock.monotonic() < 2
        assert "a" not in world.loops

        stubborn = World()
        stubborn.sessions.length, stubborn.sessions.finishing = 100, 50
        stubborn.declare(A)
        await asyncio.sleep(1)
        begun = world.clock.monotonic()
        assert not await stubborn.loops.shut_down(3, 3)
        assert world.clock.monotonic() - begun == pytest.approx(6)
        given_up: list[str] = []
        stubborn.sessions.works[0].control.on_give_up(lambda: given_up.append("now"))
        assert given_up == ["now"]
        await asyncio.sleep(100)

    virtual(scenario)
