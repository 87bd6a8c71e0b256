"""The running set: the loops by name, and how a plan is carried out on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from msgspec import Struct

from reconciler.collect.cadence import first_delay
from reconciler.control.admission import Admission
from reconciler.control.collector_loop import Loop
from reconciler.control.contained_defects import ContainedDefects
from reconciler.control.event_loop import Clock
from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.loop_session import LoopServices
from reconciler.control.loop_state import CollectorVersion, LoopObserver, LoopSnapshot
from reconciler.control.push_listener import OpenPush
from reconciler.control.session_request import (
    RunsSessions,
    SecretStamp,
    is_secret_changed,
    unstamped,
)
from reconciler.model.history import Retry
from reconciler.model.manifest_secrets import secret_refs
from reconciler.model.outcomes import SessionReport
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.planning.desired_state import DesiredCollector
from reconciler.planning.reconcile_plan import Hold, Keep, Plan, Replace, Start, Step, Stop

APPLYING = "carrying out the plan"
_STAMPING = "looking whether the secret has changed"
Waiting = tuple[str, Retry, DesiredCollector]
"""A collector whose back-off is for its secret: its name, the back-off, and what it runs."""


class SecretCheck(Struct, frozen=True):
    """The answer whether a collector's secret has changed, or the defect that prevented it."""

    name: str
    changed: bool = False
    defect: Exception | None = None


class RunningSet:
    """The loops of all collectors that run. There are never two sessions of one collector at once,
    and a loop whose spec is unchanged is never restarted."""

    def __init__(
        self,
        sessions: RunsSessions,
        admission: Admission,
        clock: Clock,
        observer: LoopObserver,
        stamp: SecretStamp = unstamped,
        open_push: OpenPush | None = None,
        defects: ContainedDefects | None = None,
    ) -> None:
        self.defects = defects or ContainedDefects()
        """Defects of this program, by the collector that they came up for."""
        self.defects.changed = observer.changed
        self._services = LoopServices(
            sessions, admission, clock, _Forwarded(self, observer), stamp, open_push, self.defects
        )
        self._loops: dict[str, Loop] = {}
        self._perhaps_awaiting: dict[str, None] = {}
        """Collectors that may wait for their secret: they did at the last look, or have changed
        since."""
        admission.on_changed(observer.changed, observer.host_changed)
        self.counts = admission.counts

    def actual(self, names: Iterable[str] | None = None) -> dict[str, DesiredCollector]:
        """Return each running collector as it runs, or will when its session is over. `names`: only
        these."""
        loops = (
            self._loops
            if names is None
            else {name: self._loops[name] for name in names if name in self._loops}
        )
        return {
            name: version.collector
            for name, loop in loops.items()
            if (version := loop.wanted) is not None
        }

    def state(self, name: str) -> LoopSnapshot | None:
        """Return the visible state of a collector's loop; None where it does not run."""
        loop = self._loops.get(name)
        return None if loop is None else loop.snapshot()

    def names(self) -> frozenset[str]:
        """Return the names of all that run, or whose last session is not over yet."""
        return frozenset(self._loops)

    def __contains__(self, name: str) -> bool:
        return name in self._loops

    def __len__(self) -> int:
        return len(self._loops)

    def apply(
        self, plan: Plan, versions: Mapping[str, CollectorVersion], retries: Mapping[str, Retry]
    ) -> None:
        """Carry out the plan. `retries` are back-offs that were kept across a restart.

        A defect for one collector is reported by `unapplied`; the others are as planned.
        """
        beginning = sum(isinstance(step, Start | Replace) for step in plan.steps)
        for step in plan.steps:
            with self.defects.contained(step.name, APPLYING):
                self._carry_out(step, versions, retries, beginning)

    @property
    def unapplied(self) -> str:
        """A sentence about the collectors that are not as planned because of a defect; "" where
        there are none."""
        return self.defects.concerned(APPLYING)

    def _carry_out(
        self,
        step: Step,
        versions: Mapping[str, CollectorVersion],
        retries: Mapping[str, Retry],
        beginning: int,
    ) -> None:
        match step:
            case Start(name) | Replace(name):
                version = versions[name]
                interval = seconds(version.collector.effective.collect.interval)
                self._begin(version, retries.get(name), first_delay(name, interval, beginning))
            case Stop(name):
                self._loops[name].stop()
            case Keep(name) | Hold(name):
                if name in self._loops and name in versions and isinstance(step, Keep):
                    self._loops[name].update(versions[name])

    def _begin(self, version: CollectorVersion, retry: Retry | None, delay: float) -> None:
        name = version.collector.name
        if name in self._loops:
            self._loops[name].replace(version, delay)
        else:
            loop = Loop(version, retry, self._services)
            loop.start(delay)
            self._loops[name] = loop

    def awaiting_secrets(self) -> list[Waiting]:
        """Return the collectors whose secret was refused, or could not be read."""
        found: list[Waiting] = []
        for name in list(self._perhaps_awaiting):
            loop = self._loops.get(name)
            retry = loop.retry if loop else None
            if loop is None or retry is None or retry.stamp is None:
                del self._perhaps_awaiting[name]
            elif not loop.busy and (version := loop.wanted):
                found.append((name, retry, version.collector))
        return found

    def awaited_files(self) -> frozenset[Path]:
        """Return the files of the secrets that collectors wait for."""
        return frozenset(
            path for _, _, collector in self.awaiting_secrets() for path in _secret_files(collector)
        )

    def changed_secrets(self, waiting: Iterable[Waiting]) -> list[SecretCheck]:
        """Return which of `waiting` have a secret that has changed since. Blocking, from any
        thread."""
        return [self._seen(*one) for one in waiting]

    def _seen(self, name: str, retry: Retry, collector: DesiredCollector) -> SecretCheck:
        try:
            return SecretCheck(name, is_secret_changed(retry, collector, self._services.stamp))
        except Exception as defect:  # noqa: BLE001
            # recorded by `secrets_changed`, in the event loop's thread
            return SecretCheck(name, defect=defect)

    def secrets_changed(self, seen: Iterable[SecretCheck]) -> None:
        """Start the next sessions of the collectors whose secret has changed."""
        for one in seen:
            self.defects.judge(one.name, _STAMPING, one.defect)
            if one.changed and one.name in self._loops:
                self._loops[one.name].secret_changed()

    def collect_now(self, name: str, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """Return the report of a session; see `Loop.collect_now`. Raises SessionRefused also when
        the collector does not run."""
        loop = self._loops.get(name)
        if loop is None or loop.wanted is None:
            raise SessionRefused("NotRunning", f"{name} does not run, so it collects nothing")
        return loop.collect_now(force=force)

    def check_allowed(self, name: str, *, force: bool = False) -> None:
        """Raise SessionRefused while this collector must not log in."""
        if name in self._loops:
            self._loops[name].check_allowed(force=force)

    @asynccontextmanager
    async def checking(self, name: str) -> AsyncIterator[Retry | None]:
        """Keep this collector from beginning a session inside of this context, because it would
        find the account in use. Yield the back-off in force."""
        loop = self._loops.get(name)
        if loop is None:
            yield None
            return
        async with loop.quiet(ending=False):
            yield loop.retry

    def is_busy(self, name: str) -> bool:
        """Return whether a session of this collector runs."""
        return name in self._loops and self._loops[name].busy

    def back_off(self, collector: DesiredCollector, retry: Retry | None) -> None:
        """Take over the back-off that a check has found; see `Loop.back_off`."""
        if collector.name in self._loops:
            self._loops[collector.name].back_off(collector, retry)

    def quiet(self, name: str) -> AbstractAsyncContextManager[None]:
        """Keep this collector without a session inside this context."""
        loop = self._loops.get(name)
        return nullcontext() if loop is None else loop.quiet()

    async def shut_down(self, grace: float, limit: float) -> bool:
        """Stop all loops and return whether all have ended.

        The messages in hand have `grace` seconds, then they are given up. Sessions that have not
        ended `limit` seconds later are left behind.
        """
        for loop in list(self._loops.values()):
            loop.stop()
        if not await self._ended(grace):
            for loop in self._loops.values():
                loop.give_up()
        return await self._ended(limit)

    async def _ended(self, seconds_left: float) -> bool:
        running = list(self._running())
        if running:
            await asyncio.wait(running, timeout=seconds_left)
        return not any(self._running())

    def _running(self) -> Iterator[asyncio.Task[None]]:
        return (session for loop in self._loops.values() if (session := loop.session) is not None)

    def noted(self, name: str) -> None:
        """Note that something about this loop has changed, such as its back-off."""
        self._perhaps_awaiting[name] = None

    def forget(self, name: str) -> None:
        """Remove a loop that has ended."""
        del self._loops[name]
        self.defects.forget(name)


def _secret_files(collector: DesiredCollector) -> Iterator[Path]:
    refs = secret_refs(collector.effective.source)
    return (Path(ref.file) for ref in refs if ref.file is not None)


class _Forwarded:
    """An observer that passes on what loops report, and removes those that have ended."""

    def __init__(self, loops: RunningSet, observer: LoopObserver) -> None:
        self._loops = loops
        self.host_changed = observer.host_changed
        self.progressed = observer.progressed
        self.finished = observer.finished
        self._observer = observer

    def changed(self, name: str) -> None:
        self._loops.noted(name)
        self._observer.changed(name)

    def ended(self, name: str) -> None:
        self._loops.forget(name)
        self._observer.ended(name)
