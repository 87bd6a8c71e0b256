"""Push, in virtual time: what rings, what is renewed, what is lost, and that the interval holds all
the same."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from msgspec.structs import replace

from reconciler.control.admission import Admission
from reconciler.control.host_limits import HostLimits
from reconciler.control.loop_state import CollectorVersion
from reconciler.control.running_set import RunningSet
from reconciler.control.session_request import SessionRequest, SessionResult
from reconciler.model.errors import ConnectionFailed, SourceError, SourceUnsuitable
from reconciler.model.outcomes import Failure
from reconciler.planning.desired_state import DesiredCollector, desire
from reconciler.planning.observed_manifests import Declaration
from reconciler.planning.reconcile_plan import plan
from tests.control.doubles import Told, VirtualSessions
from tests.control.virtual import VirtualClock, virtual
from tests.planning.build import collector, observed

A = collector("a", collect={"interval": "1h", "push": True})


class FakePush:
    """A push connection over a socket pair: `server.send` of b"!" is new mail, of b"x" the end."""

    def __init__(self, *, answers: bool = True, offered: bool = True) -> None:
        self.ours, self.server = socket.socketpair()
        self.ours.setblocking(False)
        self.answers, self.offered = answers, offered
        self.listening = False
        self.renewed: list[float] = []
        self.closed = False
        self.error = ""

    def begin(self) -> None:
        if not self.offered:
            raise SourceUnsuitable("no IDLE here")
        self.listening = True

    def fileno(self) -> int:
        return self.ours.fileno()

    def take(self) -> bool:
        try:
            said = self.ours.recv(100)
        except BlockingIOError:
            return False
        if b"x" in said:
            raise ConnectionFailed("it broke")
        return b"!" in said

    def renew(self) -> None:
        self.renewed.append(asyncio.get_running_loop().time())
        self.listening = self.answers

    def abort(self) -> None:
        """Nothing hangs."""

    def lost(self, error: SourceError) -> None:
        assert not self.closed
        self.error = str(error)

    def close(self) -> None:
        self.closed = True
        self.ours.close()
        self.server.close()


class World:
    """One collector over virtual sessions that open push connections as real ones do."""

    def __init__(self, **push: bool) -> None:
        self.clock = VirtualClock()
        self.sessions = VirtualSessions(self.clock)
        self.push = push
        self.opened: list[FakePush] = []
        self.asked = 0
        self.loops = RunningSet(
            self, Admission(9, lambda _: HostLimits(9)), self.clock, Told(), open_push=self.open
        )

    def open(self, found: DesiredCollector) -> FakePush:
        self.asked += 1
        self.opened.append(FakePush(**self.push))
        return self.opened[-1]

    async def run(self, work: SessionRequest) -> SessionResult:
        push = work.open_push() if work.open_push else None
        assert push is None or isinstance(push, FakePush)
        try:
            if push:
                push.begin()
        except SourceUnsuitable:
            assert push
            push.close()
            push = None
        return replace(await self.sessions.run(work), push=push)

    def declare(self, *declarations: Declaration) -> None:
        desired = desire(observed(*declarations), {})
        versions = {name: CollectorVersion(found, 1) for name, found in desired.collectors.items()}
        self.loops.apply(plan(desired, self.loops.actual()), versions, {})

    @property
    def starts(self) -> list[float]:
        return [round(at, 1) for at in self.sessions.starts("a")]

    def tell(self, what: bytes = b"!") -> None:
        self.opened[-1].server.send(what)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for push in made.opened:
        push.close()


def test_new_mail_starts_a_session_at_once_and_the_interval_holds(world: World) -> None:
    async def scenario() -> None:
        world.declare(A)
        await asyncio.sleep(100)
        world.tell()
        await asyncio.sleep(0.5)
        assert world.starts == [0, 100]
        await asyncio.sleep(3600)
        assert world.starts == [0, 100, 3700]
        assert world.asked == 1
        await world.loops.shut_down(1, 1)
        assert world.opened[0].closed

    virtual(scenario)


def test_mail_announced_during_a_session_is_fetched_after_it_and_less_often_if_it_keeps_coming(
    world: World,
) -> None:
    async def scenario() -> None:
        world.sessions.length = 0.25
        world.declare(A)
        await asyncio.sleep(0.1)  # the session opens the connection
        for _ in range(100):
            world.tell()
            await asyncio.sleep(0.1)
        await asyncio.sleep(30)
        assert world.starts[:6] == [0, 0.5, 1.5, 3.5, 5.5, 7.5]
        assert len(world.starts) <= 8
        world.tell()
        await asyncio.sleep(1)
        world.tell()
        await asyncio.sleep(1)
        assert len(world.starts) <= 10
        assert world.starts[-1] - world.starts[-2] == pytest.approx(1, abs=0.2)
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_sessions_that_mail_calls_for_do_not_keep_the_others_from_their_interval() -> None:
    async def scenario() -> None:
        world = World()
        world.loops = RunningSet(
            world, Admission(2, lambda _: HostLimits(2)), world.clock, Told(), open_push=world.open
        )
        noisy = [
            collector(f"p{number}", collect={"interval": "1h", "push": True})
            for number in range(10)
        ]
        quiet = [collector(f"q{number}", collect={"interval": "30s"}) for number in range(5)]
        world.declare(*noisy, *quiet)
        for _ in range(1200):
            await asyncio.sleep(0.25)
            for push in world.opened:
                push.server.send(b"!")
        for number in range(5):
            starts = world.sessions.starts(f"q{number}")
            assert len(starts) >= 7
            assert all(later - earlier < 45 for earlier, later in pairwise(starts))
        for number in range(10):
            assert len(world.sessions.starts(f"p{number}")) > 20
        await world.loops.shut_down(5, 5)

    virtual(scenario)


def test_I19_it_is_asked_again_within_ten_minutes_and_stays(world: World) -> None:
    async def scenario() -> None:
        world.declare(A)
        await asyncio.sleep(3000)
        [push] = world.opened
        times = [0, *push.renewed]
        assert len(push.renewed) >= 5
        assert all(later - earlier <= 600 for earlier, later in pairwise(times))
        assert world.starts == [0]
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_I19_a_dead_connection_is_noticed_and_replaced_with_a_session() -> None:
    async def scenario() -> None:
        world = World(answers=False)
        world.declare(A)
        await asyncio.sleep(650)
        assert world.opened[0].closed
        assert len(world.opened) == 2
        assert len(world.starts) == 2
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_a_broken_connection_comes_back_after_a_growing_pause(world: World) -> None:
    async def scenario() -> None:
        world.declare(A)
        await asyncio.sleep(10)
        pauses = []
        for _ in range(4):
            before = asyncio.get_running_loop().time()
            count = len(world.opened)
            world.tell(b"x")
            while len(world.opened) == count:  # noqa: ASYNC110  # in virtual time
                await asyncio.sleep(1)
            pauses.append(asyncio.get_running_loop().time() - before)
            assert world.opened[-2].error == "it broke"
            await asyncio.sleep(5)
        for number, pause in enumerate(pauses):
            assert 15 * 2**number <= pause <= 30 * 2**number + 2
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_I31_where_it_is_not_offered_the_interval_alone_holds() -> None:
    async def scenario() -> None:
        world = World(offered=False)
        world.declare(collector("a", collect={"interval": "1m", "push": True}))
        await asyncio.sleep(3600)
        assert world.starts == [60.0 * number for number in range(61)][: len(world.starts)]
        assert len(world.starts) >= 60
        assert world.asked < 10
        assert all(push.closed for push in world.opened)
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_a_throttled_session_gives_the_connection_up(world: World) -> None:
    async def scenario() -> None:
        world.sessions.failure = Failure("Throttled", "too many connections")
        world.declare(A)
        await asyncio.sleep(10)
        assert world.opened[0].closed
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_a_ring_stands_back_for_a_back_off(world: World) -> None:
    async def scenario() -> None:
        world.declare(A)
        await asyncio.sleep(10)
        world.sessions.failure = Failure("ConnectionFailed", "no route")
        world.tell()
        await asyncio.sleep(10)
        assert world.starts == [0, 10]
        world.tell()
        await asyncio.sleep(30)
        assert world.starts == [
            0,
            10,
            21,
        ]  # the host is away, and tried when that is due, whoever rings
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_a_changed_or_removed_collector_closes_its_connection(world: World) -> None:
    async def scenario() -> None:
        world.declare(A)
        await asyncio.sleep(10)
        world.declare(collector("a", collect={"interval": "2h", "push": True}), collector("b"))
        await asyncio.sleep(10)
        assert world.opened[0].closed
        assert len(world.opened) == 2
        world.declare(collector("b"))
        await asyncio.sleep(10)
        assert world.opened[1].closed
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_mail_told_before_push_was_switched_off_calls_no_session_afterwards(world: World) -> None:
    async def scenario() -> None:
        world.sessions.length = 5
        world.declare(A)
        await asyncio.sleep(1)
        world.tell()
        await asyncio.sleep(1)
        world.declare(collector("a", collect={"interval": "1h"}))
        await asyncio.sleep(1000)
        assert world.starts == [0, 2.5]
        await world.loops.shut_down(1, 1)

    virtual(scenario)


def test_a_second_login_is_counted() -> None:
    async def scenario() -> None:
        world = World()
        world.loops = RunningSet(
            world,
            Admission(9, lambda _: HostLimits(9, 1)),
            world.clock,
            Told(),
            open_push=world.open,
        )
        world.declare(A, collector("c"))
        await asyncio.sleep(119)
        assert len(world.sessions.started) == 1
        await asyncio.sleep(2)
        assert len(world.sessions.started) == 2
        await world.loops.shut_down(1, 1)

    virtual(scenario)
