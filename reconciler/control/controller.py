"""The controller: observe, plan, apply; again and again, whatever woke it. The only one who tells loops what to do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from reconciler.control.board import Board
from reconciler.control.clock import Clock
from reconciler.control.complaints import Complaints
from reconciler.control.loops import Loops
from reconciler.control.observe import Directory, Look
from reconciler.control.remembered import recall
from reconciler.control.state import Version
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import Declaring, History, Retry
from reconciler.model.interfaces import Registry
from reconciler.planning.declared import Declaration, Key, Observed, difference
from reconciler.planning.desired import Desired, DesiredCollector, desire
from reconciler.planning.plan import Plan, Replace, Step, plan, plan_some
from reconciler.planning.touched import desire_again, touched

RELIST = 30.0
"""Seconds between looks when nothing woke the controller."""
RETRY = 5.0
"""Seconds until the next attempt while the ledger is unavailable."""
EXPIRE = timedelta(hours=6)
"""How often the ledger forgets what is too old."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one turn found and recorded. `versions` of every collector that may run; `fresh` ones count as new.
    `touched`: nothing but these collectors differs from the decision before; None: anything may."""

    look: Look
    desired: Desired
    versions: Mapping[str, Version]
    recalled: Mapping[str, History]
    touched: frozenset[str] | None = None


class Recorder:
    """What the controller keeps in the ledger. Blocking: called in a thread, one call at a time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._remembered: dict[Key, Declaration] = {}
        self._declared: dict[str, tuple[str, int]] = {}
        """Digest and generation, by name; the digest is "" until it was declared in this process."""
        self._generations: dict[str, int] = {}
        """As they were before this process."""
        self._given: dict[str, Version] = {}
        """The last ones that were decided on; not fresh any more."""
        self._expired: datetime | None = None

    def recall(self) -> Mapping[str, History]:
        """What is known from before this process."""
        self._remembered = recall(self._registry.last_good())
        histories = self._registry.histories()
        self._generations = {name: history.declared.generation for name, history in histories.items()}
        self._declared = {name: ("", generation) for name, generation in self._generations.items()}
        return histories

    def decide(self, look: Look, now: datetime, removed: frozenset[str] = frozenset(),
               before: Decision | None = None) -> Decision:
        """Find what shall run, and record it before anything runs. `removed`: those of which somebody said so;
        `before`: the last decision, if it was carried out. Raises LedgerUnavailable."""
        observed = replace(look.observed, removed=removed)
        if before is not None and (decision := self._decide_some(look, observed, now, before)) is not None:
            return decision
        desired = desire(observed, self._remembered,
                         {name: version.collector for name, version in self._given.items()})
        returned = [name for name in desired.collectors if name not in self._declared]
        self._declare(desired.collectors.values(), now)
        self._remember(self._remembered, desired.good, now)
        self._remembered = dict(desired.good)
        recalled = self._registry.histories(returned) if returned else {}
        versions = {name: self._version(collector) for name, collector in desired.collectors.items()}
        return Decision(look, desired, versions, recalled)

    def _decide_some(self, look: Look, observed: Observed, now: datetime, before: Decision) -> Decision | None:
        """The same at the cost of what changed; None where that is more than the specs of some collectors."""
        declared = touched(before.look.observed, observed)
        desired = None if declared is None else desire_again(before.desired, observed, declared)
        if desired is None or declared is None:
            return None
        collectors = [desired.collectors[found.name] for found in declared]
        self._declare(collectors, now)
        changed = {found.key: found for found in declared}
        self._remember({key: self._remembered[key] for key in changed}, changed, now)
        self._remembered.update(changed)
        versions = {**before.versions, **{found.name: self._version(found) for found in collectors}}
        return Decision(look, desired, versions, {}, frozenset(found.name for found in collectors))

    def _remember(self, before: Mapping[Key, Declaration], good: Mapping[Key, Declaration], now: datetime) -> None:
        changed, gone = difference(before, good)
        if changed or gone:
            self._registry.save_last_good(changed, gone, now)

    def gone(self, desired: Desired) -> list[str]:
        """The collectors that are recorded as declared and are so no longer."""
        return [name for name in self._declared if name not in desired.collectors and name not in desired.invalid]

    def retire(self, names: Sequence[str], now: datetime) -> None:
        for name in names:
            self._registry.retire(name, now)
            del self._declared[name]
            self._generations.pop(name, None)
            self._given.pop(name, None)

    def expire(self, now: datetime) -> None:
        """Let the ledger forget what is too old, now and then."""
        if self._expired is None or not timedelta() <= now - self._expired < EXPIRE:
            self._registry.expire(now)
            self._expired = now

    def _declare(self, collectors: Iterable[DesiredCollector], now: datetime) -> None:
        """In one transaction, however many are new."""
        unknown = ("", 0)
        changed = [Declaring(collector.name, collector.digest, collector.spec.collect.mode)
                   for collector in collectors if self._declared.get(collector.name, unknown)[0] != collector.digest]
        declared = self._registry.declare_all(changed, now) if changed else {}
        self._declared.update((one.name, (one.digest, declared[one.name].generation)) for one in changed)

    def _version(self, collector: DesiredCollector) -> Version:
        """The same object as the last time, where nothing changed."""
        name, generation = collector.name, self._declared[collector.name][1]
        given = self._given.get(name)
        if given is not None and given.collector is collector and given.generation == generation:
            return given
        before = given.generation if given else self._generations.get(name, 0)
        fresh = generation != before or (
            given is not None and given.collector.effective_digest != collector.effective_digest)
        self._given[name] = Version(collector, generation)
        return Version(collector, generation, fresh=True) if fresh else self._given[name]


class Controller:
    """One turn at a time; `wake` asks for the next one."""

    def __init__(self, directory: Directory, registry: Registry, loops: Loops, board: Board, clock: Clock) -> None:
        self._directory = directory
        self._recorder = Recorder(registry)
        self._loops = loops
        self._board = board
        self._clock = clock
        self._woken = asyncio.Event()
        self._touched: set[str] | None = None
        """The files that can have changed since the last look; None: any."""
        self._relist_at = 0.0
        self._turn = asyncio.Lock()
        self._retries: dict[str, Retry] = {}
        self._recalled = False
        self._unsettled = True
        """The last look was not acted upon to the end: the next turn must, even if the directory is unchanged."""
        self._decision: Decision | None = None
        self._removed: set[str] = set()
        self._complaints = Complaints()
        self._where: object = None
        self._moved: Callable[[frozenset[Path]], None] = lambda _: None
        self.plan = Plan()
        """The last one that was applied."""
        self.moved_at: float | None = None
        """When the last turn was over, by the monotonic clock."""
        self.trouble = ""
        """Why the last turn could not be completed."""

    @property
    def loaded(self) -> bool:
        """The manifests were loaded and applied once."""
        return self._decision is not None

    @property
    def look(self) -> Look | None:
        """The last one that was acted upon."""
        return self._decision.look if self._decision else None

    @property
    def good(self) -> Mapping[Key, Declaration]:
        """The manifests in force."""
        return self._decision.desired.good if self._decision else {}

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return self._decision.look.diagnostics if self._decision else ()

    def on_moved(self, tell: Callable[[frozenset[Path]], None]) -> None:
        """Whom to tell that the directory, one in it, or what it depends on elsewhere is another one than before."""
        self._moved = tell

    def wake(self, paths: Collection[str] | None = None) -> None:
        """`paths`: nothing but these files can have changed, as far as is known; None: anything can."""
        self._touched = None if paths is None or self._touched is None else self._touched | set(paths)
        self._woken.set()

    def ended(self) -> None:
        """A stopped loop is over: what was waiting for that can be settled."""
        self._unsettled = True
        self.wake(())

    def failed(self) -> None:
        """A session failed: if that is for its secret, the secret's file is to be watched."""
        self.wake(())

    async def confirm_removed(self, name: str) -> None:
        """That this collector is declared no longer is meant."""
        self._removed.add(name)
        self._unsettled = True
        await self.turn()

    async def run(self) -> None:
        """Ends only when it is cancelled."""
        unforeseen = False
        while True:
            self._woken.clear()
            touched, self._touched = self._touched, set()
            await self.turn(only=touched, unforeseen=unforeseen)
            unforeseen = False
            if self.loaded and not gc.get_freeze_count():
                gc.freeze()  # what was loaded stays: with 10,000 collectors, looking for cycles in it takes 0.3 s
            pause = max(0.0, self._relist_at - self._clock.monotonic())
            try:
                await asyncio.wait_for(self._woken.wait(), min(RETRY, pause) if self.trouble else pause)
            except TimeoutError:
                self._touched, unforeseen = None, True

    async def turn(self, *, everything: bool = False, only: Collection[str] | None = None,
                   unforeseen: bool = False) -> None:
        """Look, and act on what changed. `everything`: read each file again, whatever its stat signature; `only`: see
        `wake`; `unforeseen`: no event told of what is found, so that events cannot be relied upon as they are."""
        async with self._turn:
            if only is None:
                self._relist_at = self._clock.monotonic() + RELIST
            try:
                await self._act(everything=everything, only=only, unforeseen=unforeseen)
                self.trouble = ""
            except LedgerUnavailable as error:
                self._unsettled = True
                self.trouble = str(error)
                log.error("manifests are not acted upon", error=self.trouble)  # noqa: TRY400  # no defect
            self.moved_at = self._clock.monotonic()

    async def _act(self, *, everything: bool, only: Collection[str] | None, unforeseen: bool) -> None:
        if not self._recalled:
            histories = await asyncio.to_thread(self._recorder.recall)
            self._take(histories)
            self._recalled = True
        look = await asyncio.to_thread(self._directory.look, everything=everything, only=only)
        self._relist_at = min(self._relist_at, self._clock.monotonic() + look.pause)
        self._watch(look, anew=unforeseen and look.changed)
        now = self._clock.now()
        if look.changed or self._unsettled or self._decision is None:
            before = None if self._unsettled or everything else self._decision
            self._unsettled = True
            removed = frozenset(self._removed)
            decision = await asyncio.to_thread(self._recorder.decide, look, now, removed, before)
            self._removed -= removed
            self._unsettled = False
            self._take(decision.recalled)
            self._apply(decision)
            if decision.touched is None:
                await self._retire(decision.desired, now)
        if waiting := self._loops.awaiting_secrets():
            self._loops.secrets_changed(await asyncio.to_thread(self._loops.changed_secrets, waiting))
        await asyncio.to_thread(self._recorder.expire, now)

    def _watch(self, look: Look, *, anew: bool) -> None:
        elsewhere = look.elsewhere | self._loops.awaited_files()
        if anew or self._where != (look.place, elsewhere):
            self._where = look.place, elsewhere
            self._moved(elsewhere)

    def _take(self, histories: Mapping[str, History]) -> None:
        self._board.recall(histories)
        self._retries.update((name, history.retry) for name, history in histories.items() if history.retry)

    def _apply(self, decision: Decision) -> None:
        names = decision.touched
        self.plan = (plan(decision.desired, self._loops.actual()) if names is None else
                     plan_some(decision.desired, self._loops.actual(names), names))
        for step in self.plan.changes:
            log.info(type(step).__name__.lower(), collector=step.name, reason=step.reason, **_told(step))
        self._complaints.tell(decision.look, decision.desired)
        self._decision = decision
        self._loops.apply(self.plan, decision.versions, self._retries)
        self._retries.clear()
        generations = {name: decision.versions[name].generation
                       for name in (decision.versions if names is None else names)}
        self._board.declare(decision.desired, generations, decision.look.revision, names)

    async def _retire(self, desired: Desired, now: datetime) -> None:
        """Removed collectors, once their last session is over."""
        gone = [name for name in self._recorder.gone(desired) if name not in self._loops]
        if gone:
            await asyncio.to_thread(self._recorder.retire, gone, now)


def _told(step: Step) -> dict[str, object]:
    """What the log says of a Replace besides its reason."""
    if not isinstance(step, Replace):
        return {}
    told: dict[str, object] = {"changed": [change.field for change in step.changes]}
    return told | ({"consequences": list(step.consequences)} if step.consequences else {})
