"""The controller: it observes, plans and applies in each turn. Nothing else tells the running
set what to run."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from reconciler.control.decision_recorder import Decision, DecisionRecorder
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.manifest_log import DiagnosticsLog
from reconciler.control.observation import ManifestDirectory, Observation
from reconciler.control.running_set import RunningSet
from reconciler.control.status_board import StatusBoard
from reconciler.log import log
from reconciler.manifests.defect_text import place_of
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.errors import LedgerUnavailable, NoThread
from reconciler.model.history import History, Retry
from reconciler.model.interfaces import Registry
from reconciler.planning.desired_state import Desired
from reconciler.planning.observed_manifests import Declaration, Key
from reconciler.planning.reconcile_plan import Plan, Replace, Start, Step, plan, plan_some

RELIST = 30.0
"""Seconds between two looks at the directory when nothing woke the controller."""
RETRY = 5.0
"""Seconds until the next attempt while the ledger is unavailable."""


class Controller:
    """Takes one turn at a time; `wake` asks for the next one."""

    def __init__(
        self,
        directory: ManifestDirectory,
        registry: Registry,
        loops: RunningSet,
        board: StatusBoard,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._recorder = DecisionRecorder(registry)
        self._loops = loops
        self._board = board
        self._clock = clock
        self._threads = ThreadPool("control", 1)
        """Its own thread, so that no request of a user delays a turn."""
        self._woken = asyncio.Event()
        self._asked_at = 0.0
        """When the next turn was asked for, by the monotonic clock."""
        self._touched: set[str] | None = None
        """The files that can have changed since the last look; None: any of them."""
        self._relist_at = 0.0
        self._turn = asyncio.Lock()
        self._retries: dict[str, Retry] = {}
        self._recalled = False
        self._unsettled = True
        """Whether the last look was not carried out completely. The next turn does so, even if
        the directory is unchanged."""
        self._decision: Decision | None = None
        self._removed: set[str] = set()
        self._rerouting = ""
        """The held change of the default Destination that was confirmed, as its reason says."""
        self._diagnostics_log = DiagnosticsLog()
        self._is_frozen = False
        """Whether what was loaded is kept out of the search for cycles. The garbage collector would
        have to count millions of objects to tell."""
        self._is_any_over = False
        """Whether a stopped loop has ended since the last turn."""
        self._settle_at = float("inf")
        """When a look is due at what an event told to be gone, by the monotonic clock."""
        self._where: object = None
        self._moved: Callable[[frozenset[Path]], None] = lambda _: None
        self._turned: Callable[[], None] = lambda: None
        self.plan = Plan()
        """The plan that was applied last."""
        self.moved_at: float | None = None
        """When the last turn was over, by the monotonic clock."""
        self.trouble = ""
        """Why the last turn could not be completed; "" if it was."""

    @property
    def directory(self) -> ManifestDirectory:
        """The directory that it looks at, in its own thread."""
        return self._directory

    @property
    def desired(self) -> Desired | None:
        """The desired state of the last look that was acted upon."""
        return self._decision.desired if self._decision else None

    @property
    def loaded(self) -> bool:
        """Whether the manifests were loaded and applied once."""
        return self._decision is not None

    @property
    def observation(self) -> Observation | None:
        """The last look that was acted upon."""
        return self._decision.observation if self._decision else None

    @property
    def in_force(self) -> Mapping[Key, Declaration]:
        """The manifests in force."""
        return self._decision.desired.good if self._decision else {}

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return self._decision.observation.diagnostics if self._decision else ()

    def on_moved(self, tell: Callable[[frozenset[Path]], None]) -> None:
        """Set the callback for a replaced directory: the root, one below it, or a file elsewhere
        that the manifests depend on."""
        self._moved = tell

    def on_turned(self, tell: Callable[[], None]) -> None:
        """Set what is called after each turn."""
        self._turned = tell

    def wake(self, paths: Collection[str] | None = None) -> None:
        """Ask for a turn. `paths`: as far as is known, only these files can have changed; None: any
        of them."""
        self._touched = (
            None if paths is None or self._touched is None else self._touched | set(paths)
        )
        if not self._woken.is_set():
            self._asked_at = self._clock.monotonic()
            self._woken.set()

    def loop_ended(self) -> None:
        """Ask for a turn: a stopped loop has ended, and collectors that waited for its end can
        start."""
        self._is_any_over = True
        self.wake(())

    def session_failed(self) -> None:
        """Ask for a turn: a session failed. If it did for its secret, that file is to be
        watched."""
        self.wake(())

    async def confirm_removed(self, *names: str) -> None:
        """Confirm the removal of these collectors, and act on it."""
        await self.removed(names, None)

    async def removed(self, names: Collection[str], only: Collection[str] | None) -> None:
        """Act on the removal of these collectors by a user. `only`: see `wake`."""
        self._removed.update(names)
        await self.turn(only=only)

    async def confirm_rerouting(self, reason: str) -> None:
        """Confirm the change of the default Destination that is held for this reason, and act on
        it."""
        self._rerouting = reason
        self._unsettled = True
        await self.turn()

    @asynccontextmanager
    async def between_turns(self) -> AsyncIterator[None]:
        """Take no turn inside of this context: somebody writes many files."""
        async with self._turn:
            yield

    async def run(self) -> None:
        """Take turns until it is cancelled."""
        unforeseen, due = False, self._clock.monotonic()
        while True:
            self._woken.clear()
            touched, self._touched = self._touched, set()
            await self.turn(only=touched, unforeseen=unforeseen, due=due)
            unforeseen = False
            if self.loaded and not self._is_frozen:
                await self._board.drawn()
                # what was loaded stays; the search for cycles in 10,000 collectors takes 0.3 s
                gc.freeze()
                self._is_frozen = True
            now = self._clock.monotonic()
            due = min(self._relist_at, now + RETRY) if self.trouble else self._relist_at
            is_only_settling = self._settle_at < due
            due = min(due, self._settle_at)
            try:
                async with asyncio.timeout(max(0.0, due - now)):
                    await self._woken.wait()
                due = self._asked_at
            except TimeoutError:
                if not is_only_settling:
                    self._touched, unforeseen = None, True

    async def turn(
        self,
        *,
        everything: bool = False,
        only: Collection[str] | None = None,
        unforeseen: bool = False,
        due: float | None = None,
    ) -> None:
        """Look at the directory, and act on what changed.

        `everything`: read each file again, whatever its stat signature. `only`: see `wake`.
        `unforeseen`: no event told of what is found, so what is watched has to be set up anew.
        `due`: when the turn was due; None: now.
        """
        due = self._clock.monotonic() if due is None else due
        async with self._turn:
            begun = self._clock.monotonic()
            if only is None:
                self._relist_at = self._clock.monotonic() + RELIST
            try:
                await self._act(everything=everything, only=only, unforeseen=unforeseen)
                self.trouble = self._loops.unapplied
                self._unsettled = self._unsettled or bool(self.trouble)
            except (LedgerUnavailable, NoThread) as error:
                self._unsettled = True
                self.trouble = str(error)
                # no traceback: this is no defect
                log.error("manifests are not acted upon", error=self.trouble)  # noqa: TRY400
            except Exception as defect:  # noqa: BLE001
                # what runs goes on, and the next turn tries again
                self._failed(defect)
            self.moved_at = self._clock.monotonic()
            self._board.figures.turn(begun - due, self.moved_at - begun, failed=bool(self.trouble))
            self._turned()

    def _failed(self, defect: Exception) -> None:
        self._unsettled = True
        trouble = f"a defect of mailcollector ({place_of(defect)}): please report it"
        if trouble != self.trouble:  # logged once, not every five seconds
            log.error("manifests are not acted upon", error=trouble, exc_info=defect)
        self.trouble = trouble

    async def _act(
        self, *, everything: bool, only: Collection[str] | None, unforeseen: bool
    ) -> None:
        if not self._recalled:
            histories = await self._threads.run(self._recorder.recall)
            self._take(histories)
            self._recalled = True
        observation = await self._threads.run(
            self._directory.observe, everything=everything, only=only
        )
        # after the look: what an event told would be forgotten otherwise
        await self._threads.run(self._recorder.require_ledger)
        self._look_again(self._clock.monotonic() + observation.pause, after_event=only is not None)
        self._watch(observation, anew=unforeseen and observation.changed)
        now = self._clock.now()
        is_any_over, self._is_any_over = self._is_any_over, False
        if is_any_over and self._decision and self._decision.desired.renames:
            self._unsettled = True  # another one may have waited for it
        if observation.changed or self._unsettled or self._removed or self._decision is None:
            before = None if self._unsettled or everything else self._decision
            self._unsettled = True
            removed = frozenset(self._removed)
            observation = observation.confirming(self._rerouting)
            decision = await self._threads.run(
                self._recorder.decide, observation, now, removed, before, self._loops.names()
            )
            self._rerouting = ""
            self._removed -= removed
            self._unsettled = False
            self._take(decision.recalled)
            self._apply(decision)
            await self._retire(decision.desired, now)
        else:
            if is_any_over:
                await self._retire(self._decision.desired, now)
            if everything:  # a user asked, and nothing has to be done
                self.plan = plan(self._decision.desired, self._loops.actual())
        if waiting := self._loops.awaiting_secrets():
            self._loops.secrets_changed(
                await self._threads.run(self._loops.changed_secrets, waiting)
            )
        await self._threads.run(self._recorder.expire, now)

    def _look_again(self, at: float, *, after_event: bool) -> None:
        """Look once more at this time at what is gone: in any case where no event told of it."""
        self._settle_at = at if after_event else float("inf")
        if not after_event:
            self._relist_at = min(self._relist_at, at)

    def _watch(self, observation: Observation, *, anew: bool) -> None:
        elsewhere = observation.elsewhere | self._loops.awaited_files()
        if anew or self._where != (observation.place, elsewhere):
            self._where = observation.place, elsewhere
            self._moved(elsewhere)

    def _take(self, histories: Mapping[str, History]) -> None:
        self._board.recall(histories)
        self._retries.update(
            (name, history.retry) for name, history in histories.items() if history.retry
        )

    def _apply(self, decision: Decision) -> None:
        names, before = decision.changed, self.plan
        self.plan = (
            plan(decision.desired, self._loops.actual())
            if names is None
            else plan_some(decision.desired, self._loops.actual(names), names)
        )
        for step in self._not_logged(before):
            log.info(
                type(step).__name__.lower(),
                collector=step.name,
                reason=step.reason,
                **_log_fields(step),
            )
            self._board.collector_events.add_step(step, self._clock.now())
        self._diagnostics_log.log_changes(decision.observation, decision.desired)
        self._decision = decision
        self._loops.apply(self.plan, decision.versions, self._retries)
        self._board.figures.applied(type(step).__name__.lower() for step in self.plan.changes)
        if not self._loops.unapplied:
            self._retries.clear()
        generations = {
            name: decision.versions[name].generation
            for name in (decision.versions if names is None else names)
            if name in decision.versions
        }
        self._board.declare(decision.desired, generations, decision.observation.revision, names)

    def _not_logged(self, before: Plan) -> Iterator[Step]:
        """Yield the changes that were not logged yet. A change that a defect prevents is planned
        again in each turn."""
        logged = {(type(step), step.name) for step in before.changes} if self.trouble else set()
        return (step for step in self.plan.changes if (type(step), step.name) not in logged)

    async def _retire(self, desired: Desired, now: datetime) -> None:
        """Retire the removed collectors whose last session is over."""
        gone = [
            name for name in self._recorder.no_longer_declared(desired) if name not in self._loops
        ]
        if gone:
            for name, defect in (await self._threads.run(self._recorder.retire, gone, now)).items():
                self._loops.defects.judge(name, "retiring it", defect)
                self._unsettled = self._unsettled or defect is not None


def _log_fields(step: Step) -> dict[str, object]:
    """Return the fields of the log line of a Start or Replace, besides its reason."""
    if not isinstance(step, Start | Replace):
        return {}
    fields: dict[str, object] = {}
    if isinstance(step, Replace):
        fields["changed"] = [change.field for change in step.changes]
    return fields | ({"consequences": list(step.consequences)} if step.consequences else {})
