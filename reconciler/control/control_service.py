"""The functions behind the API. Requests are here; the reading part is `service_views`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from reconciler.control.access_requests import AccessRequests
from reconciler.control.check_requests import CheckRequests, reported
from reconciler.control.controller import Controller
from reconciler.control.draft_checks import DraftChecks
from reconciler.control.event_loop import Clock
from reconciler.control.loop_backoff import SessionRefused
from reconciler.control.manifest_service import ManifestService
from reconciler.control.routing_requests import RoutingRequests
from reconciler.control.running_set import RunningSet
from reconciler.control.service_pause import Pause, PauseNotKept
from reconciler.control.service_views import NotFound, ServiceViews
from reconciler.control.status_board import StatusBoard
from reconciler.model.collector_state import PAUSED
from reconciler.model.interfaces import Registry
from reconciler.model.outcomes import Cleared, SessionReport
from reconciler.model.routing_answer import Routing
from reconciler.model.status import (
    CheckReport,
    ShownSession,
)
from reconciler.planning.desired_state import DesiredCollector
from reconciler.planning.reconcile_plan import Plan


class ControlService(ServiceViews):
    """Answers the requests of the API and of the page. All methods that take a name raise
    NotFound where no collector of this name is declared, and LedgerUnavailable."""

    def __init__(
        self,
        controller: Controller,
        loops: RunningSet,
        board: StatusBoard,
        registry: Registry,
        checks: CheckRequests,
        clock: Clock,
        *,
        git_commit: bool = False,
    ) -> None:
        manifests = ManifestService(controller, loops, registry, clock, git_commit=git_commit)
        super().__init__(controller, loops, board, registry, clock, manifests)
        self._checks = checks
        self.draft_checks = DraftChecks(self.manifests, loops, checks)
        self.access: AccessRequests | None = None
        """Keeps what owners give for their mailboxes; None where that is not possible."""
        self.routings: RoutingRequests | None = None
        """Explains parked messages; None where that is not possible."""

    def collect(self, name: str, *, force: bool = False) -> asyncio.Future[SessionReport]:
        """Ask for a session now, or for the one that runs. Return its report as a future. Raises
        SessionRefused."""
        self._known(name)
        self._refuse_unfit(name)
        if self.paused is not None:
            raise SessionRefused(PAUSED, f"the service is {self.paused.sentence}")
        return self._loops.collect_now(name, force=force)

    async def follow(
        self, name: str, asked: asyncio.Future[SessionReport]
    ) -> AsyncIterator[ShownSession]:
        """Yield the counters of the session that was asked for, as they grow; at last the
        outcome."""
        latest: list[ShownSession] = []
        changed = asyncio.Event()

        def hear(session: ShownSession) -> None:
            latest[:] = [session]
            changed.set()

        asked.add_done_callback(lambda _: changed.set())
        with self._board.listening(name, hear):
            while True:
                await changed.wait()
                changed.clear()
                if asked.done():
                    break
                yield latest[0]
        yield ShownSession.of(asked.result())

    async def clear(self, name: str) -> Cleared:
        """Forget what was collected. A running session ends first, after its message; none is
        started."""
        self._known(name)
        async with self._loops.quiet(name):
            history = (await self._asking.run(self._registry.histories, [name])).get(name)
            if history is None:
                raise NotFound(f"{name} was never valid, so nothing is remembered of it")
            declared = await self._asking.run(self._registry.clear, name, self._clock.now())
        return Cleared(declared.epoch, history.size)

    async def unpark(self, name: str) -> int:
        """Have the next session try parked messages again, and return how many there are."""
        self._known(name)
        return await self._asking.run(self._registry.unpark, name)

    async def explain(self, name: str, folder: str, key: str) -> Routing:
        """Return why a parked message has no recipient, by a look at its headers. Raises NotFound
        where it is not parked, and CollectorError."""
        self._known(name)
        desired = self._board.desired(name)
        if not isinstance(desired, DesiredCollector) or self.routings is None:
            raise SessionRefused(*self._problem(name))
        kept = await self._asking.run(self._registry.parked, name)
        if not any((one.folder, one.key) == (folder, key) for one in kept):
            raise NotFound("no such message is parked")
        return await self.routings.run(desired, folder, key)

    async def accept_maildirs(self, name: str) -> None:
        """Confirm that its Maildirs are meant to be on the file systems that they are on now."""
        self._known(name)
        await self._asking.run(self._registry.accept_maildirs, name, self._clock.now())

    async def check(self, name: str, *, force: bool = False) -> CheckReport:
        """Connect, log in and count, without collecting anything.

        A server that asked for a pause, or refused this login, is not asked again, unless `force`.
        Raises SessionRefused where there is no spec to check.
        """
        self._known(name)
        desired = self._board.desired(name)
        if not isinstance(desired, DesiredCollector):
            raise SessionRefused(*self._problem(name))
        return await reported(name, self._allowed_check(desired, force=force))

    async def _allowed_check(self, collector: DesiredCollector, *, force: bool) -> CheckReport:
        self._loops.check_allowed(collector.name, force=force)
        return await self._checks.run(collector)

    async def pause(self, by: str, why: str) -> Pause:
        """Pause the service, across restarts. Raises PauseNotKept."""
        if self.pauses is None:
            raise PauseNotKept("this service cannot be paused")
        return await self.pauses.pause(by, why)

    async def resume(self, by: str) -> None:
        """End the pause of the service. Raises PauseNotKept."""
        if self.pauses is not None:
            await self.pauses.resume(by)

    async def reload(self) -> Plan:
        """Read all manifests again now, and return the plan that was applied."""
        await self._controller.turn(everything=True)
        return self._controller.plan

    async def confirm_removed(self, name: str) -> None:
        """Confirm that this collector is removed, whatever vanished with it."""
        await self._controller.confirm_removed(name)

    async def confirm_rerouting(self, reason: str) -> None:
        """Confirm the change of the default Destination that is held for this reason."""
        await self._controller.confirm_rerouting(reason)

    def _refuse_unfit(self, name: str) -> None:
        """Raise SessionRefused with the reason, if the collector does not run."""
        if name in self._loops:
            return
        desired = self._board.desired(name)
        if isinstance(desired, DesiredCollector) and desired.may_run:
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
