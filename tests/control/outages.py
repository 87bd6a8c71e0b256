"""Hosts that are away in every way there is, and collectors of them, in virtual time; all else is
the real thing.

`python -m tests.control.outages` prints the table of 300 collectors of one host, of each interval,
length and way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.collect.backoff import next_backoff
from reconciler.control.admission import Admission
from reconciler.control.host_health import Outage as HostOutage
from reconciler.control.host_limits import HostLimits
from reconciler.control.loop_state import CollectorVersion
from reconciler.control.running_set import RunningSet
from reconciler.control.session_request import SessionRequest, SessionResult
from reconciler.control.status_board import StatusBoard
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.planning.desired_state import desire
from reconciler.planning.observed_manifests import Declaration
from reconciler.planning.reconcile_plan import plan
from tests.control.virtual import VirtualClock, virtual
from tests.planning.build import collector, observed

SILENCE = 60.0
WAYS: dict[str, tuple[float, Failure]] = {
    "closes before its greeting": (0.01, Failure("ConnectionFailed", "closed", of_address=True)),
    "swallows what is sent": (SILENCE, Failure("ConnectionFailed", "silence")),
    "NO [UNAVAILABLE] at login": (
        0.05,
        Failure("SourceUnavailable", "NO [UNAVAILABLE] backend is down"),
    ),
    "nothing listens": (0.001, Failure("ConnectionFailed", "refused")),
    "BYE in its greeting": (0.01, Failure("SourceUnavailable", "BYE maintenance", of_address=True)),
    "babbles": (0.01, Failure("ProtocolViolation", "HTTP/1.1 502 Bad Gateway")),
    "its certificate has expired": (0.02, Failure("TlsRefused", "certificate has expired")),
    "its name is not found": (0.2, Failure("ConnectionFailed", "the name cannot be resolved")),
}
Way = str | None
"""None: it is well."""


@dataclass
class Servers:
    """Runs sessions. `way` says how a collector finds its server when it comes."""

    clock: VirtualClock
    way: Callable[[str], Way] = lambda _: None
    login: float = 0.05
    length: float = 0.15
    attempts: list[tuple[float, str]] = field(default_factory=list)
    logins: list[tuple[float, str]] = field(default_factory=list)
    kept: dict[str, Retry | None] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    collected: int = 0

    async def run(self, work: SessionRequest) -> SessionResult:
        name, began = work.collector.name, self.clock.now()
        self.attempts.append((self.clock.monotonic(), name))
        host = work.collector.effective.source.host
        self.running[host] += 1
        failure = await self._knock(work)
        if failure is None:
            self.logins.append((self.clock.monotonic(), name))
            work.control.entered()
            failure = await self._collect(work)
        self.running[host] -= 1
        outcome = Outcome.FAILED if failure else Outcome.SUCCEEDED
        done = work.judge(
            SessionReport(began, self.clock.now(), outcome, collected=self.collected, error=failure)
        )
        interval = seconds(work.collector.effective.collect.interval)
        retry = next_backoff(
            done,
            work.retry,
            work.collector.effective_digest,
            interval,
            self.clock.now(),
            lambda: 0.0,
        )
        self.kept[name] = retry
        return SessionResult(done, retry)

    async def _knock(self, work: SessionRequest) -> Failure | None:
        name = work.collector.name
        way = self.way(name)
        if way is None:
            await asyncio.sleep(self.login)
            return None
        lasts, failure = WAYS[way]
        end = self.clock.monotonic() + lasts
        while (left := end - self.clock.monotonic()) > 1e-6:
            if work.control.stopping:
                return failure
            await asyncio.sleep(min(0.5, left))
            if lasts == SILENCE and self.way(name) is None:
                return None  # who was held is answered
        return failure

    async def _collect(self, work: SessionRequest) -> Failure | None:
        await asyncio.sleep(self.length)
        return None


class World:
    """Collectors of some hosts."""

    def __init__(
        self, *, sessions: int = 32, per_host: int = 8, clock: VirtualClock | None = None
    ) -> None:
        self.clock = clock or VirtualClock()
        self.servers = Servers(self.clock)
        self.admission = Admission(sessions, lambda _: HostLimits(per_host))
        self.board = StatusBoard(self.clock)
        self.loops = RunningSet(self.servers, self.admission, self.clock, self.board)
        self.board.connect(self.loops.state, lambda: None)
        self.declared: dict[str, Declaration] = {}

    def declare(self, *declarations: Declaration, retries: dict[str, Retry] | None = None) -> None:
        self.declared.update((one.name, one) for one in declarations)
        desired = desire(observed(*self.declared.values()), {})
        versions = {name: CollectorVersion(found, 1) for name, found in desired.collectors.items()}
        self.board.declare(desired, dict.fromkeys(desired.collectors, 1), None)
        self.loops.apply(plan(desired, self.loops.actual()), versions, retries or {})

    def attempts(self, begin: float, end: float, names: Iterable[str] | None = None) -> list[float]:
        wanted = None if names is None else set(names)
        return [
            at
            for at, name in self.servers.attempts
            if begin <= at < end and (wanted is None or name in wanted)
        ]

    def back(self, since: float) -> dict[str, float]:
        """Seconds after `since` until each was let in for the first time."""
        found: dict[str, float] = {}
        for at, name in self.servers.logins:
            if at >= since:
                found.setdefault(name, at - since)
        return found

    def starts(self, name: str) -> list[float]:
        return [at for at, one in self.servers.attempts if one == name]

    def outages(self) -> list[HostOutage]:
        """Of the hosts that are away, as the collectors show them."""
        states = map(self.loops.state, self.declared)
        found = (state.host_outage for state in states if state is not None)
        return list({one: None for one in found if one is not None})

    async def end(self) -> None:
        await self.loops.shut_down(1, 1)


@dataclass(frozen=True)
class Outage:
    """What came of one: attempts in it, seconds after its end until each that waited was back, and
    the most logins that began in a second then."""

    tried: int
    steady: list[float]
    """When they came, once the host was known to be away."""
    back: list[float]
    rate: int


async def outage(way: str, minutes: float, every: float, interval: str, count: int = 300) -> Outage:
    """All of these collectors' one host is away; they had been running. Nobody is left behind."""
    world = World()
    world.declare(*many(count, interval=interval))
    begin = every + 17.0
    end = begin + 60.0 * minutes
    await asyncio.sleep(begin)
    assert len({name for _, name in world.servers.logins}) == count
    lasts = {name: at for at, name in world.servers.attempts}
    world.servers.way = lambda _: way
    await asyncio.sleep(end - begin)
    world.servers.way = lambda _: None
    waiting = {name for name, at in lasts.items() if at + every < end}
    await asyncio.sleep(every + 60)
    tried = world.attempts(begin, end)
    back = world.back(end)
    assert set(back) >= waiting
    assert all(one.host_outage is None for one in map(world.loops.state, world.declared) if one)
    rate = max(Counter(int(at) for at, _ in world.servers.logins if at >= end).values())
    await world.end()
    since = min(tried, default=begin) + SILENCE + 1
    return Outage(
        len(tried),
        [at for at in tried if at >= since],
        sorted(back[name] for name in waiting),
        rate,
    )


def many(
    count: int,
    host: str = "imap.example",
    interval: str = "5s",
    prefix: str = "c",
    port: int = 993,
    **spec: Any,
) -> list[Declaration]:
    source: dict[str, Any] = {
        "protocol": "imap",
        "host": host,
        "port": port,
        "password": {"file": "secret"},
    }
    return [
        collector(
            f"{prefix}{number}",
            source={**source, "username": f"{prefix}{number}"},
            collect={"interval": interval},
            **spec,
        )
        for number in range(count)
    ]


if __name__ == "__main__":
    print(
        "| way | interval | away | attempts | waited | first | half | all | logins a second |\n"
        + "|---" * 9
        + "|"
    )
    for chosen in WAYS:
        for text, length in (("5s", 5.0), ("5m", 300.0)):
            for lasted in (1, 10, 60):
                # run at once
                found = virtual(lambda: outage(chosen, lasted, length, text))  # noqa: B023
                times = found.back or [0.0]
                print(
                    f"| {chosen} | {text} | {lasted} min | {found.tried} | "
                    f"{len(found.back)} | {times[0]:.1f} | "
                    f"{times[len(times) // 2]:.1f} | {times[-1]:.1f} | {found.rate} |",
                    flush=True,
                )
