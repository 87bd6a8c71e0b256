"""The status board: immutable snapshots of all collectors, for the API. No floor above reads a live
loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice

from msgspec import Struct, field

from reconciler.control.collector_events import CollectorEvents
from reconciler.control.conditions import CollectorFacts, show_collector, show_defect
from reconciler.control.contained_defects import ContainedDefects
from reconciler.control.event_journal import EventJournal
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import Outage, target_of
from reconciler.control.loop_state import LoopSnapshot
from reconciler.control.recent_messages import RecentMessages
from reconciler.control.service_figures import ServiceFigures
from reconciler.control.shown_outages import ShownOutages
from reconciler.model.collector_state import CollectorState, state_of
from reconciler.model.history import History
from reconciler.model.outcomes import Outcome, SessionReport, Totals
from reconciler.model.provider_classes import OTHER, provider_class
from reconciler.model.status import ShownCollector, ShownSession
from reconciler.planning.desired_state import Desired, DesiredCollector, InvalidCollector

_SHOWING = "showing its status"
_AT_ONCE = 50
"""Collectors that are drawn at once; then others work."""


class _Past(Struct):
    """The results of a collector's sessions, whether it runs now or not. `verdict`: the last
    session that was not interrupted."""

    totals: Totals = field(default_factory=Totals)
    last: SessionReport | None = None
    verdict: SessionReport | None = None


class StatusBoard:
    """What is shown of each collector, kept up to date by the controller and the loops. A changed
    collector is drawn once, in the next iterations of the event loop. Many changes are drawn in
    parts, with other work in between."""

    def __init__(self, clock: Clock, defects: ContainedDefects | None = None) -> None:
        self._clock = clock
        self._defects = defects or ContainedDefects()
        self.figures = ServiceFigures()
        """The counters since the start of this process."""
        self._state: Callable[[str], LoopSnapshot | None] = lambda _: None
        self._ended: Callable[[], None] = lambda: None
        self._failed: Callable[[], None] = lambda: None
        self._desired: dict[str, DesiredCollector | InvalidCollector] = {}
        self._generations: dict[str, int] = {}
        self._past: dict[str, _Past] = {}
        self._shown: dict[str, ShownCollector] = {}
        self._drawn_from: dict[str, DesiredCollector | InvalidCollector] = {}
        self._states: dict[str, CollectorState] = {}
        self._in_order: tuple[ShownCollector, ...] | None = ()
        """All that are shown, sorted by name; None where one has changed since."""
        self._names: Sequence[str] | None = ()
        """Their names, sorted; None where one was added or removed since."""
        self._changed: dict[str, None] = {}
        self._drawing: asyncio.Handle | None = None
        self._outages = ShownOutages(clock)
        self._moved_places: set[str] | None = set()
        """The hosts and destinations of which an outage may concern more or fewer collectors than
        it did; None: any of them."""
        self._waiting: dict[str, tuple[Outage | None, Outage | None]] = {}
        """Collectors that were drawn as waiting for their host or destination, with the outages
        of that moment."""
        self.events = EventJournal()
        """Every change of what is shown."""
        self.recent = RecentMessages()
        """The messages of the last hours."""
        self.collector_events = CollectorEvents()
        """The events of each collector since the start of this process."""
        self._paused = ""
        """Who paused the service and why, as a sentence."""
        self._listeners: dict[str, set[Callable[[ShownSession], None]]] = {}
        self._revision: str | None = None

    def connect(
        self,
        state: Callable[[str], LoopSnapshot | None],
        ended: Callable[[], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Set the source of the loops' snapshots, and what is called when a stopped loop has
        ended or a session fails."""
        self._state = state
        self._ended = ended
        self._failed = failed

    # -- reading

    def collectors(self) -> Sequence[ShownCollector]:
        """Return all collectors, sorted by name. Whatever has changed is drawn first."""
        self._look_at_outages()
        self._draw(len(self._changed))
        return self._sorted()

    async def drawn(self) -> Sequence[ShownCollector]:
        """Return all collectors, sorted by name, after all present changes have been drawn in
        parts, with other work in between."""
        self._look_at_outages()
        changed = list(self._changed)
        for start in range(0, len(changed), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for name in changed[start : start + _AT_ONCE]:
                self._draw_one(name)
        return self._sorted()

    def _sorted(self) -> Sequence[ShownCollector]:
        if self._names is None:
            self._names = sorted(self._shown)
        if self._in_order is None:
            self._in_order = tuple([self._shown[name] for name in self._names])
        return self._in_order

    def state(self, collector: ShownCollector) -> CollectorState:
        """Return the state of a collector that is shown."""
        return self._states[collector.metadata.name]

    def names(self) -> Collection[str]:
        """Return the names of all collectors."""
        return self._desired.keys()

    def collector(self, name: str) -> ShownCollector | None:
        self._look_at_outage_of(name)
        self._draw_one(name)
        return self._shown.get(name)

    def desired(self, name: str) -> DesiredCollector | InvalidCollector | None:
        return self._desired.get(name)

    @contextmanager
    def listening(self, name: str, listener: Callable[[ShownSession], None]) -> Iterator[None]:
        """Call `listener` with the counters of this collector's running session, as they grow."""
        self._listeners.setdefault(name, set()).add(listener)
        try:
            yield
        finally:
            self._listeners[name].discard(listener)
            if not self._listeners[name]:
                del self._listeners[name]

    # -- from the controller

    def recall(self, histories: Mapping[str, History]) -> None:
        """Take over what earlier processes recorded in the ledger."""
        for name, history in histories.items():
            self._generations[name] = history.declared.generation
            last = history.last_session
            verdict = last if last and last.outcome is not Outcome.INTERRUPTED else None
            self._past[name] = _Past(history.totals, last, verdict)

    def declare(
        self,
        desired: Desired,
        generations: Mapping[str, int],
        revision: str | None,
        names: Collection[str] | None = None,
    ) -> None:
        """Take over the desired state. `names`, where given: only these differ from what it
        was."""
        if names is not None and revision == self._revision:
            self._generations.update(generations)
            for name in names:
                self._declare_one(name, desired.collectors.get(name))
            return
        now: dict[str, DesiredCollector | InvalidCollector] = {
            **desired.invalid,
            **desired.collectors,
        }
        for name in self._desired.keys() - now.keys():
            self._remove(name)
        everything = revision != self._revision
        self._revision = revision
        for name, found in now.items():
            before = self._desired.get(name)
            if (
                everything
                or self._generations.get(name) != generations.get(name)
                or (before is not found and before != found)
            ):
                self.changed(name)
        self._generations.update(generations)
        self._desired = now
        self._moved_places = None

    def _declare_one(self, name: str, found: DesiredCollector | None) -> None:
        self._move(self._desired.get(name))
        self._move(found)
        if found is not None:
            self._desired[name] = found
            self.changed(name)
        elif self._desired.pop(name, None) is not None:
            self._remove(name)

    def _move(self, desired: DesiredCollector | InvalidCollector | None) -> None:
        """Note that this collector comes to where it has its mail, or leaves."""
        if self._moved_places is not None and isinstance(desired, DesiredCollector):
            target = target_of(desired)
            self._moved_places |= {target.host, target.destination}

    def pause(self, sentence: str) -> None:
        """Show that the service is paused, with this sentence; "" that it runs again."""
        self._paused = sentence
        for name in self._desired:
            self.changed(name)

    # -- from the loops

    def changed(self, name: str) -> None:
        self._changed[name] = None
        if self._drawing is None:
            self._drawing = asyncio.get_running_loop().call_soon(self._draw_some)

    def host_changed(self, names: Collection[str]) -> None:
        """Draw these anew: their host, which is away, is tried again at another time.

        This may concern thousands every half minute. So it is done only while events are
        read; other readers see the change when they read.
        """
        self._changed.update(dict.fromkeys(names))
        if self._drawing is None and self.events.is_read:
            self._drawing = asyncio.get_running_loop().call_soon(self._draw_some)

    def finished(self, name: str, report: SessionReport) -> None:
        desired = self._desired.get(name)
        if desired is None:
            return  # it was removed meanwhile; the ledger has its history
        self.figures.session(_provider(desired), report)
        past = self._past.setdefault(name, _Past())
        past.last = report
        if report.outcome is not Outcome.INTERRUPTED:
            past.verdict = report
        past.totals = past.totals.with_one_more(report)
        self.collector_events.add_session(name, report)
        self.recent.add(name, report.finished_at, report.collected)
        self.changed(name)
        if report.error is not None:
            self._failed()

    def progressed(self, name: str, report: SessionReport) -> None:
        listeners = self._listeners.get(name)
        if listeners:
            session = ShownSession.of(report).model_copy(update={"finished_at": None})
            for listener in list(listeners):
                listener(session)

    def ended(self, name: str) -> None:
        self.changed(name)
        desired = self._desired.get(name)
        if desired is None:  # it was removed while its last session ran
            self._moved_places = None
        self._move(desired)
        self._ended()

    # -- drawing

    def _remove(self, name: str) -> None:
        self._shown.pop(name, None)
        self._drawn_from.pop(name, None)
        self._states.pop(name, None)
        self._in_order = self._names = None
        self._changed.pop(name, None)
        self._waiting.pop(name, None)
        self._past.pop(name, None)
        self.recent.forget(name)
        self._generations.pop(name, None)
        self._defects.judge(name, _SHOWING, None)
        self.collector_events.forget(name)
        self._publish(name, None)

    def _look_at_outages(self) -> None:
        """Mark those as changed whose outages are others than those that were drawn, where that may
        be."""
        moved = self._moved_places
        if moved is not None and not moved:
            return
        self._moved_places = set()
        for name, drawn in self._waiting.items():
            if moved is None or any(one is not None and one.host in moved for one in drawn):
                self._look_at_outage_of(name)

    def _look_at_outage_of(self, name: str) -> None:
        """Mark a collector as changed if its outage is another one than that which was drawn."""
        if (drawn := self._waiting.get(name)) is not None:
            loop = self._state(name)
            if loop is None or (loop.host_outage, loop.destination_outage) != drawn:
                self._changed[name] = None

    def _draw_some(self) -> None:
        self._draw(_AT_ONCE)
        is_over = not self._changed
        self._drawing = None if is_over else asyncio.get_running_loop().call_soon(self._draw_some)

    def _draw(self, most: int) -> None:
        for name in list(islice(self._changed, most)):
            self._draw_one(name)

    def _draw_one(self, name: str) -> None:
        """Draw a collector, where it has changed."""
        if name not in self._changed:
            return
        del self._changed[name]
        desired = self._desired.get(name)
        if desired is None:
            return
        now = self._clock.now()
        if name not in self._shown:
            self._names = None
        with self._defects.contained(name, _SHOWING):
            self._shown[name] = self._drawn(name, desired, now)
            self._drawn_from[name] = desired
        if sentence := self._defects.only(name, _SHOWING):
            self._shown[name] = show_defect(name, sentence, self._generations.get(name, 0), now)
            self._drawn_from.pop(name, None)
        self._states[name] = state_of(self._shown[name])
        self._in_order = None
        self._publish(name, self._shown[name])

    def _drawn(
        self, name: str, desired: DesiredCollector | InvalidCollector, now: datetime
    ) -> ShownCollector:
        before = self._shown.get(name)
        past = self._past.setdefault(name, _Past())
        loop = self._state(name)
        self._waiting.pop(name, None)
        if loop is not None and (
            loop.host_outage is not None or loop.destination_outage is not None
        ):
            self._waiting[name] = loop.host_outage, loop.destination_outage
        facts = CollectorFacts(
            desired,
            self._generations.get(name, 0),
            loop,
            loop.retry if loop else None,
            past.last,
            past.verdict,
            past.totals,
            self._revision,
            self._outages.host(loop.host_outage if loop else None),
            self._defects.of(name),
            self._outages.destination(loop.destination_outage if loop else None),
            self._paused,
        )
        same = before if self._drawn_from.get(name) is desired else None
        return show_collector(facts, before.status.conditions if before else (), now, same)

    def _publish(self, name: str, found: ShownCollector | None) -> None:
        self.events.put(name, found)


def _provider(desired: DesiredCollector | InvalidCollector) -> str:
    if isinstance(desired, InvalidCollector):
        return OTHER
    return provider_class(desired.effective.source.host, desired.effective.source.provider)
