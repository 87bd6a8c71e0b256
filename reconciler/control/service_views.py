"""The reading part behind the API and the page: snapshots, queries and histories. No live loop is
handed out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.admission import AdmissionCounts
from reconciler.control.collector_events import CollectorEvent, show_event
from reconciler.control.collector_query import Query, QueryPage, SearchIndex, of_states, select
from reconciler.control.conditions import show_failing, show_parked
from reconciler.control.controller import RELIST, Controller
from reconciler.control.due_deletions import due_deletions, mode_of
from reconciler.control.effective_fields import EffectiveLine, effective_lines
from reconciler.control.event_journal import EventJournal
from reconciler.control.event_loop import Clock, ThreadPool
from reconciler.control.held_changes import HeldCollector, held_collectors, notable_steps
from reconciler.control.manifest_service import ManifestService
from reconciler.control.pause_switch import PauseSwitch
from reconciler.control.recent_messages import SPAN, RecentMessages
from reconciler.control.running_set import RunningSet
from reconciler.control.service_overview import Overview, ServiceOverview
from reconciler.control.service_pause import Pause
from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.control.status_board import StatusBoard
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.reports.report_formats import DiagnosticExcerpt, excerpts
from reconciler.model.collector_search import matches
from reconciler.model.collector_state import CollectorState
from reconciler.model.errors import CollectorError, LedgerUnavailable
from reconciler.model.history import KEPT
from reconciler.model.interfaces import Registry
from reconciler.model.manifests_in_force import InForce
from reconciler.model.selectors import Selector
from reconciler.model.session_dialogue import SessionDialogue
from reconciler.model.status import (
    Description,
    ShownAlert,
    ShownCollector,
    ShownSession,
)
from reconciler.planning.desired_state import DesiredCollector
from reconciler.planning.plan_preview import describe_in_force
from reconciler.planning.plan_report import plan_as_data
from reconciler.planning.reconcile_plan import Plan, plan

Dialogues = Callable[[str], Sequence[SessionDialogue]]
"""Returns what was said in a collector's last sessions, the newest first. Blocking."""
SILENCE = 3 * RELIST
"""Seconds without a turn after which the control loop counts as stuck."""
_AT_ONCE = 1000
"""Collectors that a query looks at until others have their turn."""


class CollectorActivity(Struct, frozen=True):
    """The present activity of a collector. `busy`: a session runs. `events`: the newest first."""

    busy: bool
    events: Sequence[CollectorEvent]


class NotFound(CollectorError):
    """No collector of this name is declared."""

    reason = "NotFound"


class ServiceViews:
    """Answers questions about the service. All methods that take a name raise NotFound where no
    collector of this name is declared, and LedgerUnavailable."""

    def __init__(
        self,
        controller: Controller,
        loops: RunningSet,
        board: StatusBoard,
        registry: Registry,
        clock: Clock,
        manifests: ManifestService,
    ) -> None:
        self._controller = controller
        self._loops = loops
        self._board = board
        self._registry = registry
        self._clock = clock
        self.manifests = manifests
        self.pauses: PauseSwitch | None = None
        """Pauses the daemon; None where it cannot be paused."""
        self.dialogues: Dialogues | None = None
        """Reads dialogues; None where they are not kept."""
        self._asking = ThreadPool("API", 4)
        self._search = SearchIndex()
        self._overview = ServiceOverview(board, clock)
        self._recalled = False
        self.started_at = clock.now()
        self._started = clock.monotonic()

    def list(self, search: str = "", labels: Iterable[Selector] = ()) -> list[ShownCollector]:
        """Return the collectors that `search` and each of `labels` select, sorted by name."""
        wanted = tuple(labels)
        return [
            found
            for found in self._board.collectors()
            if all(one.selects(found.metadata.labels) for one in wanted)
            and (not search or matches(found, search))
        ]

    async def all_collectors(self) -> Sequence[ShownCollector]:
        """Return all collectors, sorted by name."""
        return await self._board.drawn()

    def those_of(self, names: Iterable[str]) -> Sequence[ShownCollector]:
        """Return the collectors with these names, as far as there are any."""
        found = map(self._board.collector, names)
        return [one for one in found if one is not None]

    def names(self) -> Collection[str]:
        """Return the names of all collectors."""
        return self._board.names()

    def find(self, name: str) -> ShownCollector | None:
        """Return one collector; None where none has this name."""
        return self._board.collector(name)

    async def query(self, query: Query) -> tuple[QueryPage, Mapping[CollectorState, int]]:
        """Return one page of the collectors that a checked query selects. The counts by state
        ignore the query's own choice of states."""
        return of_states(await self._selected(query), query, self._board.state)

    async def selected_names(self, query: Query) -> Sequence[str]:
        """Return the names of all that a query selects, whatever page it asks for."""
        whole = replace(query, sort="name", descending=False, limit=sys.maxsize, after=None)
        found, _ = of_states(await self._selected(query), whole, self._board.state)
        return [one.metadata.name for one in found.items]

    async def _selected(self, query: Query) -> Sequence[ShownCollector]:
        """Return what a query selects, in any state."""
        found, selected = await self.all_collectors(), list[ShownCollector]()
        self._search.forget(self._board.names())
        if query.selects_all:
            return found
        for start in range(0, len(found), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            part = found[start : start + _AT_ONCE]
            selected += select(part, query, self._search, self._clock.now())
        return selected

    async def overview(self) -> Overview:
        """Return the overview of all collectors, with what needs attention."""
        return await self._overview.current()

    async def messages_last_day(self) -> int:
        """Return how many messages were collected in the last 24 hours."""
        return (await self.recent()).total(self._clock.now())

    async def recent(self) -> RecentMessages:
        """Return the messages of the last hours by collector. The first call reads the ledger, for
        the time before this process."""
        if not self._recalled:
            self._recalled = True
            since = self._clock.now() - SPAN
            try:
                found = await self._asking.run(
                    self._registry.collected_between, since, self.started_at
                )
            except LedgerUnavailable:
                self._recalled = False
            else:
                self._board.recent.recall(found)
        return self._board.recent

    async def history_sizes(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the number of remembered messages of each of these collectors."""
        histories = await self._asking.run(self._registry.histories, names)
        return {name: history.size for name, history in histories.items()}

    async def describe(self, name: str, sessions: int = 20) -> Description:
        """Return everything about one collector, with at most `sessions` of its last sessions."""
        found = self._known(name)
        histories = await self._asking.run(self._registry.histories, [name])
        last = await self._asking.run(self._registry.sessions, name, sessions)
        kept = await self._asking.run(self._registry.parked, name)
        failed = await self._asking.run(self._registry.failing, name)
        kept_back = await self._asking.run(self._registry.kept_back, name)
        history, desired = histories.get(name), self._board.desired(name)
        shown = tuple(map(ShownSession.of, last))
        remembered = history.size if history else 0
        return Description(
            collector=found,
            sessions=shown,
            parked=tuple(map(show_parked, kept)),
            failing=tuple(map(show_failing, failed)),
            history_size=remembered,
            epoch=history.declared.epoch if history else 0,
            alerts=tuple(map(ShownAlert.of, history.alerts)) if history else (),
            source=desired.source if desired else None,
            due_deletions=due_deletions(mode_of(found), shown, remembered, kept_back),
            events=tuple(map(show_event, self._board.collector_events.events(name))),
        )

    def activity(self, name: str) -> CollectorActivity:
        """Return what a collector does now, and what happened to it since the daemon started."""
        self._known(name)
        return CollectorActivity(
            self._loops.is_busy(name), self._board.collector_events.events(name)
        )

    async def dialogue(self, name: str) -> Sequence[SessionDialogue]:
        """Return what was said in the last sessions and checks, the newest first."""
        self._known(name)
        return () if self.dialogues is None else await self._asking.run(self.dialogues, name)

    async def effective(self, name: str) -> Sequence[EffectiveLine]:
        """Return the lines of its effective spec; none where no version of it can be used."""
        shown, desired = self._known(name), self._board.desired(name)
        if not isinstance(desired, DesiredCollector):
            return ()
        try:
            declared = await self.manifests.declared(name)
        except CollectorError:  # it is to be fixed by hand, or is held
            own: Mapping[str, object] = {}
        else:
            found = declared.data.get("spec")
            own = found if isinstance(found, Mapping) else {}
        return effective_lines(own, desired.spec, shown.spec)

    @property
    def events(self) -> EventJournal:
        """Every change of what `list` shows."""
        return self._board.events

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
        """How many defects of this program came up since the start and were contained."""
        return self._loops.defects.count

    @property
    def paused(self) -> Pause | None:
        """Who paused the service, and why; None while it runs."""
        return self.pauses.current if self.pauses else None

    @property
    def last_plan(self) -> Plan:
        """The plan that was carried out last."""
        return self._controller.plan

    def held(self) -> Sequence[HeldCollector]:
        """Return the collectors whose changes on disk are held."""
        desired, observation = self._controller.desired, self._controller.observation
        if desired is None or observation is None:
            return ()
        return held_collectors(plan(desired, self._loops.actual()), desired, observation.observed)

    @property
    def vanished(self) -> int:
        """How many collectors are held because their manifests are gone."""
        desired = self._controller.desired
        if desired is None or not any(one.held for one in desired.collectors.values()):
            return 0
        return sum(one.removed for one in self.held())

    async def plan(self) -> Mapping[str, Any]:
        """Return the changes on disk that are not in force yet, as in `plan -o json`: without held
        changes and without unchanged collectors."""
        desired = self._controller.desired
        found = notable_steps(plan(desired, self._loops.actual())) if desired else Plan()
        remembered = await self.history_sizes([step.name for step in found.steps])
        return plan_as_data(found, remembered, self._clock.now() + KEPT)

    async def excerpts(self, most: int) -> Sequence[DiagnosticExcerpt]:
        """Return at most `most` diagnostics with their source lines, errors first."""
        found = sorted(self.diagnostics, key=lambda one: not one.is_error)[:most]
        return await self._asking.run(excerpts, found)

    def sessions_now(self) -> AdmissionCounts:
        """Return how many sessions run and wait."""
        return self._loops.counts()

    @property
    def revision(self) -> str | None:
        """The git commit of the manifests, where there is one."""
        return self._controller.observation.revision if self._controller.observation else None

    @property
    def healthy(self) -> bool:
        """Whether the control loop moved lately."""
        moved = self._controller.moved_at
        return self._clock.monotonic() - (self._started if moved is None else moved) < SILENCE

    @property
    def ready(self) -> bool:
        """Whether the manifests were loaded once."""
        return self._controller.loaded

    async def snapshot(self) -> ServiceSnapshot:
        """Return the data of the metrics."""
        moved = self._controller.moved_at
        return ServiceSnapshot(
            await self.all_collectors(),
            self.diagnostics,
            self._board.figures.copied(),
            self._loops.counts(),
            self.internal_errors,
            None if moved is None else self._clock.at(moved),
            bool(self.trouble),
            self.paused is not None,
        )

    def ledger_size(self) -> int | None:
        """Return the octets of the ledger; None where that is not known. From any thread."""
        return self._registry.size()

    async def in_force(self) -> InForce:
        """Return the manifests in force, from which a plan starts."""
        good, running = self._controller.in_force, self._loops.actual()
        histories = await self._asking.run(self._registry.histories)
        return describe_in_force(
            good.values(), running, {name: history.size for name, history in histories.items()}
        )

    def _known(self, name: str) -> ShownCollector:
        found = self._board.collector(name)
        if found is None:
            raise NotFound(f"no collector {name!r} is declared")
        return found
