"""The controller: observe, plan, apply; again and again, whatever woke it. The only one who tells loops what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from reconciler.control.board import Board
from reconciler.control.clock import Clock
from reconciler.control.loops import Loops
from reconciler.control.observe import Directory, Look
from reconciler.control.remembered import recall
from reconciler.control.state import Version
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import History, Retry
from reconciler.model.interfaces import Registry
from reconciler.planning.declared import Declaration, Key, difference
from reconciler.planning.desired import Desired, DesiredCollector, desire
from reconciler.planning.plan import Plan, Replace, Step, plan

RELIST = 30.0
"""Seconds between looks when nothing woke the controller."""
RETRY = 5.0
"""Seconds until the next attempt while the ledger is unavailable."""
EXPIRE = timedelta(hours=6)
"""How often the ledger forgets what is too old."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one turn found and recorded. `versions` of every collector that may run; `fresh` ones count as new."""

    look: Look
    desired: Desired
    versions: Mapping[str, Version]
    recalled: Mapping[str, History]


class Recorder:
    """What the controller keeps in the ledger. Blocking: called in a thread, one call at a time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._remembered: dict[Key, Declaration] = {}
        self._declared: dict[str, tuple[str, int]] = {}
        """Digest and generation, by name; the digest is "" until it was declared in this process."""
        self._effective: dict[str, str] = {}
        self._expired: datetime | None = None

    def recall(self) -> Mapping[str, History]:
        """What is known from before this process."""
        self._remembered = recall(self._registry.last_good())
        histories = self._registry.histories()
        self._declared = {name: ("", history.declared.generation) for name, history in histories.items()}
        return histories

    def decide(self, look: Look, now: datetime, removed: frozenset[str] = frozenset()) -> Decision:
        """Find what shall run, and record it before anything runs. `removed`: those of which somebody said so. Raises
        LedgerUnavailable."""
        desired = desire(replace(look.observed, removed=removed), self._remembered)
        returned = [name for name in desired.collectors if name not in self._declared]
        versions = {name: self._version(collector, now) for name, collector in desired.collectors.items()}
        changed, gone = difference(self._remembered, desired.good)
        if changed or gone:
            self._registry.save_last_good(changed, gone, now)
        self._remembered = dict(desired.good)
        recalled = self._registry.histories(returned) if returned else {}
        return Decision(look, desired, versions, recalled)

    def gone(self, desired: Desired) -> list[str]:
        """The collectors that are recorded as declared and are so no longer."""
        return [name for name in self._declared if name not in desired.collectors and name not in desired.invalid]

    def retire(self, names: Sequence[str], now: datetime) -> None:
        for name in names:
            self._registry.retire(name, now)
            del self._declared[name]
            self._effective.pop(name, None)

    def expire(self, now: datetime) -> None:
        """Let the ledger forget what is too old, now and then."""
        if self._expired is None or not timedelta() <= now - self._expired < EXPIRE:
            self._registry.expire(now)
            self._expired = now

    def _version(self, collector: DesiredCollector, now: datetime) -> Version:
        name = collector.name
        digest, generation = self._declared.get(name, ("", 0))
        before = generation
        if digest != collector.digest:
            declared = self._registry.declare(name, collector.digest, collector.spec.collect.mode, now)
            generation = declared.generation
            self._declared[name] = collector.digest, generation
        last = self._effective.get(name)
        self._effective[name] = collector.effective_digest
        fresh = generation != before or (last is not None and last != collector.effective_digest)
        return Version(collector, generation, fresh)


class Controller:
    """One turn at a time; `wake` asks for the next one."""

    def __init__(self, directory: Directory, registry: Registry, loops: Loops, board: Board, clock: Clock) -> None:
        self._directory = directory
        self._recorder = Recorder(registry)
        self._loops = loops
        self._board = board
        self._clock = clock
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._retries: dict[str, Retry] = {}
        self._recalled = False
        self._unsettled = True
        """The last look was not acted upon to the end: the next turn must, even if the directory is unchanged."""
        self._decision: Decision | None = None
        self._removed: set[str] = set()
        self._place: tuple[int, int] | None = None
        self._moved: Callable[[], None] = lambda: None
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

    def on_moved(self, tell: Callable[[], None]) -> None:
        """Whom to tell that the directory is another one than before, or gone."""
        self._moved = tell

    def wake(self) -> None:
        self._woken.set()

    def ended(self) -> None:
        """A stopped loop is over: what was waiting for that can be settled."""
        self._unsettled = True
        self.wake()

    async def confirm_removed(self, name: str) -> None:
        """That this collector is declared no longer is meant."""
        self._removed.add(name)
        self._unsettled = True
        await self.turn()

    async def run(self) -> None:
        """Ends only when it is cancelled."""
        while True:
            self._woken.clear()
            await self.turn()
            pause = RETRY if self.trouble else RELIST
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
            except TimeoutError:
                continue

    async def turn(self, *, everything: bool = False) -> None:
        """Look, and act on what changed. `everything`: read each file again, whatever its stat signature."""
        async with self._turn:
            try:
                await self._act(everything=everything)
                self.trouble = ""
            except LedgerUnavailable as error:
                self._unsettled = True
                self.trouble = str(error)
                log.error("manifests are not acted upon", error=self.trouble)  # noqa: TRY400  # no defect
            self.moved_at = self._clock.monotonic()

    async def _act(self, *, everything: bool) -> None:
        if not self._recalled:
            histories = await asyncio.to_thread(self._recorder.recall)
            self._take(histories)
            self._recalled = True
        look = await asyncio.to_thread(self._directory.look, everything=everything)
        if look.place != self._place:
            self._place = look.place
            self._moved()
        now = self._clock.now()
        if look.changed or self._unsettled or self._decision is None:
            self._unsettled = True
            removed = frozenset(self._removed)
            decision = await asyncio.to_thread(self._recorder.decide, look, now, removed)
            self._removed -= removed
            self._unsettled = False
            self._take(decision.recalled)
            self._apply(decision)
            await self._retire(decision.desired, now)
        if waiting := self._loops.awaiting_secrets():
            self._loops.secrets_changed(await asyncio.to_thread(self._loops.changed_secrets, waiting))
        await asyncio.to_thread(self._recorder.expire, now)

    def _take(self, histories: Mapping[str, History]) -> None:
        self._board.recall(histories)
        self._retries.update((name, history.retry) for name, history in histories.items() if history.retry)

    def _apply(self, decision: Decision) -> None:
        self.plan = plan(decision.desired, self._loops.actual())
        for step in self.plan.changes:
            log.info(type(step).__name__.lower(), collector=step.name, reason=step.reason, **_told(step))
        self._decision = decision
        self._loops.apply(self.plan, decision.versions, self._retries)
        self._retries.clear()
        generations = {name: version.generation for name, version in decision.versions.items()}
        self._board.declare(decision.desired, generations, decision.look.revision)

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
