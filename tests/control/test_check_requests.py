"""What users ask for delays neither the control loop nor each other."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.collect.backoff import next_backoff
from reconciler.control.admission import Admission
from reconciler.control.check_requests import AT_ONCE, Check, CheckRequests
from reconciler.control.host_limits import HostLimits
from reconciler.control.session_control import SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.outcomes import Failure
from reconciler.model.status import CheckReport, SessionError
from reconciler.planning.desired_state import DesiredCollector, desire
from tests.control.manifests import save, text
from tests.control.test_controller import World
from tests.control.virtual import EPOCH
from tests.planning.build import collector, observed

GENEROUS = 20.0


def only(name: str) -> DesiredCollector:
    return desire(observed(collector(name)), {}).collectors[name]


class Silent:
    """A server that lets in, or not even that, and does not answer then until it is given up."""

    def __init__(self, *, lets_in: bool = True) -> None:
        self._lets_in = lets_in
        self.asked: list[str] = []
        self.most = self.now = 0
        self.end = threading.Event()
        self.given_up = 0
        self._lock = threading.Lock()

    def check(self, collector: DesiredCollector, control: SessionControl) -> CheckReport:
        control.on_give_up(self._give_up)
        if self._lets_in:
            control.entered()
        with self._lock:
            self.asked.append(collector.name)
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.end.wait(GENEROUS)
        with self._lock:
            self.now -= 1
        return CheckReport(name=collector.name, ok=True, steps=())

    def _give_up(self) -> None:
        self.given_up += 1
        self.end.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(GENEROUS):
            while len(self.asked) < count:  # noqa: ASYNC110  # threads have no events of asyncio
                await asyncio.sleep(0.005)


def test_N7_checks_of_a_silent_server_delay_no_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        world, silent = World(tmp_path), Silent()
        for number in range(12):
            save(tmp_path, f"c{number}", text(f"c{number}"))
        await world.turn()
        checks = world.control._checks = CheckRequests(silent.check, world.admission)
        asked = [
            asyncio.create_task(world.control.check(f"c{number}"))
            for number in range(12)
            for _ in range(2)
        ]
        await silent.until(AT_ONCE)
        save(tmp_path, "new", text("new"))
        async with asyncio.timeout(GENEROUS):
            assert "new" in await world.turn()
            await world.control.describe("new")
            await world.control.in_force()
            assert await world.control.unpark("new") == 0
        assert silent.most == AT_ONCE
        silent.end.set()
        assert all(report.ok for report in await asyncio.gather(*asked))
        assert len(silent.asked) == 12  # two who ask for the same get the same answer
        checks.close()
        await world.loops.shut_down(5, 5)

    asyncio.run(scenario())


def test_what_users_ask_the_ledger_delays_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        world, end = World(tmp_path), threading.Event()
        save(tmp_path, "a", text("a"))
        await world.turn()

        def slow(_name: str) -> int:
            assert end.wait(GENEROUS)
            return 0

        monkeypatch.setattr(world.registry, "unpark", slow)
        asked = [asyncio.create_task(world.control.unpark("a")) for _ in range(40)]
        await asyncio.sleep(0)
        save(tmp_path, "new", text("new"))
        async with asyncio.timeout(GENEROUS):
            assert "new" in await world.turn()
        end.set()
        await asyncio.gather(*asked)
        await world.loops.shut_down(5, 5)

    asyncio.run(scenario())


def test_checks_are_admitted_to_a_host_as_sessions_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        silent = Silent()
        admission = Admission(9, lambda _: HostLimits(2))
        checks = CheckRequests(silent.check, admission)
        asked = [asyncio.create_task(checks.run(only(f"c{number}"))) for number in range(4)]
        await silent.until(2)
        await asyncio.sleep(0.05)
        assert len(silent.asked) == 2
        silent.end.set()
        await asyncio.gather(*asked)
        assert silent.most == 2

    asyncio.run(scenario())


def test_N7_a_server_that_lets_nobody_in_is_checked_once_at_a_time() -> None:
    async def scenario() -> None:
        silent = Silent(lets_in=False)
        checks = CheckRequests(silent.check, Admission(9, lambda _: HostLimits(9)))
        asked = [asyncio.create_task(checks.run(only(f"c{number}"))) for number in range(4)]
        await silent.until(1)
        await asyncio.sleep(0.05)
        assert len(silent.asked) == 1
        silent.end.set()
        await asyncio.gather(*asked)
        assert silent.most == 1

    asyncio.run(scenario())


def test_checks_are_given_up_when_the_daemon_ends() -> None:
    async def scenario() -> None:
        silent = Silent()
        checks = CheckRequests(silent.check, Admission(9, lambda _: HostLimits(9)))
        asked = [asyncio.create_task(checks.run(only(f"c{number}"))) for number in range(9)]
        await silent.until(AT_ONCE)
        checks.close()
        await asyncio.gather(*asked, return_exceptions=True)
        assert silent.given_up == AT_ONCE

    asyncio.run(scenario())


def test_a_check_that_fails_to_begin_says_so_to_everybody(tmp_path: Path) -> None:
    def broken(_collector: DesiredCollector, _control: SessionControl) -> CheckReport:
        raise LedgerUnavailable("the disk is full")

    async def scenario() -> None:
        checks = CheckRequests(broken, Admission(9, lambda _: HostLimits(9)))
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await checks.run(only("a"))

    asyncio.run(scenario())


# What a check learns counts for sessions


def answering(*failures: Failure | None, lasts: float = 0.0) -> tuple[list[str], Check]:
    """A check to which the server says one of these after the other; who was asked."""
    waiting, asked = list(failures), list[str]()

    def check(collector: DesiredCollector, control: SessionControl) -> CheckReport:
        asked.append(collector.name)
        time.sleep(lasts)
        control.failure = failure = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        error = failure and SessionError.of(failure)
        return CheckReport(name=collector.name, ok=failure is None, steps=(), error=error)

    return asked, check


def learning(world: World, check: Check) -> None:
    pool = SessionPool(
        lambda *_: pytest.fail("no session"),
        next_backoff,
        world.registry,
        1,
        lambda: EPOCH + timedelta(seconds=time.monotonic()),
    )  # the world's clock, from any thread
    world.control._checks = CheckRequests(check, world.admission, world.loops, pool.learn)


REFUSED = Failure("AuthenticationFailed", "wrong password")
UNCERTAIN = Failure("LoginRefused", "no")
THROTTLED = Failure("Throttled", "too many", retry_after=1800.0)


@pytest.mark.parametrize(
    ("failures", "checks", "reason", "at_least"),
    [
        ([REFUSED], 1, "AuthenticationFailed", 3600),
        ([UNCERTAIN], 3, "AuthenticationFailed", 3600),
        ([UNCERTAIN, REFUSED], 2, "AuthenticationFailed", 3600),
        ([THROTTLED], 1, "Throttled", 1800),
        ([Failure("AccountNotReady", "switched off")], 1, "AccountNotReady", 600),
    ],
)
def test_R3_what_a_server_says_to_a_check_s_login_holds_for_sessions(
    failures: list[Failure], checks: int, reason: str, at_least: float, tmp_path: Path
) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "a", text("a", "5s"))
        await world.turn()
        asked, check = answering(*failures)
        learning(world, check)
        for _ in range(checks):
            await world.control.check("a")
        state = world.loops.state("a")
        assert state
        assert state.retry
        assert state.retry.reason == reason
        assert state.next_session
        assert (state.next_session - world.clock.now()).total_seconds() >= at_least - 1
        assert world.registry.rows["a"].retry == state.retry  # across a restart, too
        again = await world.control.check("a")
        if reason != "AccountNotReady":
            assert len(asked) == checks  # nor by another check
            assert "not tried" in again.steps[0].message
        await world.loops.shut_down(1, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "failure",
    [
        Failure("ConnectionFailed", "no"),
        Failure("DestinationUnavailable", "full"),
        Failure("TlsRefused", "expired"),
        Failure("SecretUnavailable", "no such file"),
        Failure("ProtocolViolation", "what"),
    ],
)
def test_what_a_check_finds_besides_delays_no_session(failure: Failure, tmp_path: Path) -> None:
    """But for the pause of its host, where that let nobody in (`control.host_health`)."""

    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "a", text("a", "5s"))
        await world.turn()
        before = world.loops.state("a")
        learning(world, answering(failure)[1])
        await world.control.check("a")
        state = world.loops.state("a")
        assert state
        assert before
        assert state.retry is None
        assert state.next_session
        assert before.next_session
        expected = before.next_session
        if state.host_outage is not None:
            expected = max(expected, world.clock.at(state.host_outage.next_attempt))
        assert abs((state.next_session - expected).total_seconds()) < 0.1
        await world.loops.shut_down(1, 1)

    asyncio.run(scenario())


def test_a_check_whose_login_goes_well_ends_the_back_off_of_a_refused_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "a", text("a", "5s"))
        await world.turn()
        asked, check = answering(REFUSED, None)
        learning(world, check)
        await world.control.check("a")
        sessions = len(world.sessions.started)
        assert not (await world.control.check("a")).ok  # not tried
        assert (await world.control.check("a", force=True)).ok
        for _ in range(20):
            await asyncio.sleep(0)
        assert asked == ["a", "a"]
        assert len(world.sessions.started) == sessions + 1
        assert world.registry.rows["a"].retry is None
        await world.loops.shut_down(1, 1)

    asyncio.run(scenario())


def test_no_session_begins_while_its_account_is_checked_and_one_that_runs_teaches_nothing(
    tmp_path: Path,
) -> None:
    """By POP3 one of the two would find the maildrop in use."""

    async def scenario() -> None:
        world = World(tmp_path)
        save(tmp_path, "a", text("a", "1h"))
        await world.turn()
        silent = Silent()
        learning(world, silent.check)
        checked = asyncio.create_task(world.control.check("a"))
        await silent.until(1)
        collected = world.control.collect("a")
        await asyncio.sleep(0.05)
        assert not collected.done()
        assert len(world.sessions.started) == 1
        silent.end.set()
        await checked
        assert (await collected).error is None

        may_end = world.sessions.may_end = asyncio.Event()
        running = world.control.collect("a")
        learning(world, answering(Failure("Throttled", "[IN-USE]"))[1])
        await asyncio.sleep(0)
        await world.control.check("a")
        assert world.registry.rows["a"].retry is None
        may_end.set()
        assert (await running).error is None
        await world.loops.shut_down(1, 1)

    asyncio.run(scenario())
