"""What the API offers, over snapshots and requests; it never hands out a live loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager

from reconciler.control.admission import NotAdmitted
from reconciler.control.check_requests import CheckRequests, not_tried
from reconciler.control.conditions import show_failing, show_parked
from reconciler.control.controller import RELIST, Controller
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.loop import SessionRefused
from reconciler.control.running_set import RunningSet
from reconciler.control.status_board import StatusBoard, Subscription
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.collector_search import matches
from reconciler.model.errors import CollectorError
from reconciler.model.in_force import InForce
from reconciler.model.interfaces import Registry
from reconciler.model.outcomes import Cleared, Failure, SessionReport
from reconciler.model.selectors import Selector
from reconciler.model.status import (
    CheckReport,
    Description,
    ShownAlert,
    ShownCollector,
    ShownSession,
)
from reconciler.planning.desired_state import DesiredCollector
from reconciler.planning.plan_actions import Plan
from reconciler.planning.plan_preview import describe_in_force

SILENCE = 3 * RELIST
"""Seconds after which a control loop that did not move counts as stuck."""


class NotFound(CollectorError):
    """No collector of this name is declared."""

    reason = "NotFound"


class ControlService:
    """Names that are not declared raise `NotFound` everywhere; what the ledger cannot do,
    `LedgerUnavailable`."""

    def __init__(
        self,
        controller: Controller,
        loops: RunningSet,
        board: StatusBoard,
        registry: Registry,
        checks: CheckRequests,
        clock: Clock,
    ) -> None:
        self._controller = controller
        self._loops = loops
        self._board = board
        self._registry = registry
        self._checks = checks
        self._clock = clock
        self._asking = ThreadPool("API", 4)
        self.started_at = clock.now()
        self._started = clock.monotonic()

    # -- reading

    def list(self, search: str = "", labels: Iterable[Selector] = ()) -> list[ShownCollector]:
        """By name; those that `search` and every one of `labels` select."""
        wanted = tuple(labels)
        return [
            found
            for found in self._board.collectors()
            if all(one.selects(found.metadata.labels) for one in wanted)
            and (not search or matches(found, search))
        ]

    async def describe(self, name: str) -> Description:
        found = self._known(name)
        histories = await self._asking.run(self._registry.histories, [name])
        sessions = await self._asking.run(self._registry.sessions, name)
        kept = await self._asking.run(self._registry.parked, name)
        failed = await self._asking.run(self._registry.failing, name)
        history, desired = histories.get(name), self._board.desired(name)
        return Description(
            collector=found,
            sessions=tuple(map(ShownSession.of, sessions)),
            parked=tuple(map(show_parked, kept)),
            failing=tuple(map(show_failing, failed)),
            history_size=history.size if history else 0,
            epoch=history.declared.epoch if history else 0,
            alerts=tuple(map(ShownAlert.of, history.alerts)) if history else (),
            source=desired.source if desired else None,
        )

    def subscribed(self) -> AbstractContextManager[Subscription]:
        """Changes of what `list` shows, from now on."""
        return self._board.subscribed()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the manifests."""
        return self._controller.diagnostics

    @property
    def trouble(self) -> str:
        """Why manifests are not acted upon now; "" if they are."""
        return self._controller.trouble

    @property
    def internal_errors(self) -> int:
        """Defects of ours that came up since the start, and that ended nothing but what they were
        about."""
        return self._loops.defects.count

    @property
    def healthy(self) -> bool:
        """The control loop moved lately."""
        moved = self._controller.moved_at
        return self._clock.monotonic() - (self._started if moved is None else moved) < SILENCE

    @property
    def ready(self) -> bool:
        """The manifests were loaded once."""
        return self._controller.loaded

    async def in_force(self) -> InForce:
        """What runs now: where a plan starts from."""
        good, running = self._controller.good, self._loops.actual()
        histories = await self._asking.run(self._registry.histories)
        return describe_in_force(
            good.values(), running, {name: history.size for name, history in histories.items()}
        )

    # -- asking for something

    def collect(self, name: str, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """A session now, or the one that runs; the future is its report. Raises SessionRefused."""
        self._known(name)
        self._refuse_unfit(name)
        return self._loops.collect_now(name, force=force)

    async def follow(
        self, name: str, asked: asyncio.Future[SessionReport]
    ) -> AsyncIterator[ShownSession]:
        """The counters of the session that was asked for, as they grow; the last item is the
        outcome."""
        latest: list[ShownSession] = []
        told = asyncio.Event()

        def hear(session: ShownSession) -> None:
            latest[:] = [session]
            told.set()

        asked.add_done_callback(lambda _: told.set())
        with self._board.listening(name, hear):
            while True:
                await told.wait()
                told.clear()
                if asked.done():
                    break
                yield latest[0]
        yield ShownSession.of(asked.result())

    async def clear(self, name: str) -> Cleared:
        """Forget what was collected. A running session ends after its message first; none is
        started."""
        self._known(name)
        async with self._loops.quiet(name):
            history = (await self._asking.run(self._registry.histories, [name])).get(name)
            if history is None:
                raise NotFound(f"{name} was never valid, so nothing is remembered of it")
            declared = await self._asking.run(self._registry.clear, name, self._clock.now())
        return Cleared(declared.epoch, history.size)

    async def unpark(self, name: str) -> int:
        """The next session tries parked messages again; how many there are."""
        self._known(name)
        return await self._asking.run(self._registry.unpark, name)

    async def accept_maildirs(self, name: str) -> None:
        """Its Maildirs are meant to be on the file systems that they are on now."""
        self._known(name)
        await self._asking.run(self._registry.accept_maildirs, name, self._clock.now())

    async def check(self, name: str, *, force: bool = False) -> CheckReport:
        """Connect, log in, count; collect nothing. A server that asked for a pause, or refused this
        login, is not asked again, unless `force`. Raises SessionRefused when there is no spec to
        check."""
        self._known(name)
        desired = self._board.desired(name)
        if not isinstance(desired, DesiredCollector):
            raise SessionRefused(*self._problem(name))
        try:
            self._loops.check_allowed(name, force=force)
            return await self._checks.run(desired)
        except SessionRefused as refused:
            return not_tried(name, Failure.of(refused), f"not tried: {refused}")
        except NotAdmitted as away:
            return not_tried(name, Failure.of(away), str(away))

    async def reload(self) -> Plan:
        """Read all manifests again now; what was done about it."""
        await self._controller.turn(everything=True)
        return self._controller.plan

    async def confirm_removed(self, name: str) -> None:
        """That this collector's manifest is gone is meant, whatever vanished with it."""
        await self._controller.confirm_removed(name)

    def _known(self, name: str) -> ShownCollector:
        found = self._board.collector(name)
        if found is None:
            raise NotFound(f"no collector {name!r} is declared")
        return found

    def _refuse_unfit(self, name: str) -> None:
        """Say why a collector that does not run does not."""
        if name in self._loops:
            return
        desired = self._board.desired(name)
        if isinstance(desired, DesiredCollector) and desired.supported:
            raise SessionRefused(
                "Disabled", f"{name} is disabled: set `enabled: true` in its manifest"
            )
        raise SessionRefused(*self._problem(name))

    def _problem(self, name: str) -> tuple[str, str]:
        desired = self._board.desired(name)
        problem = desired.problem if desired else None
        return (
            (problem.reason, problem.message) if problem else ("NotRunning", f"{name} does not run")
        )
