"""Without a daemon: one look at the manifests, one session each, and what can be said of collectors that do not run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from reconciler.collect.backoff import forbids
from reconciler.control.admission import Admission
from reconciler.control.controller import Decision, Recorder
from reconciler.control.observe import Directory
from reconciler.control.remembered import recall
from reconciler.control.sessions import SessionControl, SessionPool, Work, is_lifted
from reconciler.control.status import Facts, shown
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.history import History, LastGood
from reconciler.model.interfaces import Registry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.status import Session, ShownCollector, timestamp
from reconciler.planning.desired import Desired, DesiredCollector, Invalid, desire

OnProgress = Callable[[str, Session], None]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """One look at the directory, against what the ledger remembers."""

    desired: Desired
    diagnostics: Sequence[Diagnostic]
    revision: str | None


def find(directory: Directory, last_good: Sequence[LastGood]) -> Found:
    """What is declared. Records nothing."""
    look = directory.look(everything=True)
    return Found(desire(look.observed, recall(last_good)), look.diagnostics, look.revision)


def listed(found: Found, histories: Mapping[str, History]) -> list[ShownCollector]:
    """The collectors as they are while no daemon runs, by name."""
    now = datetime.now(UTC)
    collectors: dict[str, DesiredCollector | Invalid] = {**found.desired.invalid, **found.desired.collectors}
    shown_ones = []
    for name in sorted(collectors):
        history = histories.get(name)
        generation = history.declared.generation if history else 0
        last = history.last_session if history else None
        facts = Facts(collectors[name], generation, None, history.retry if history else None, last, last,
                      revision=found.revision)
        if history:
            facts = replace(facts, totals=history.totals)
        one = shown(facts, (), last.finished_at if last else now)
        shown_ones.append(one if facts.retry is None else one.model_copy(update={
            "status": one.status.model_copy(update={"next_session": facts.retry.next_attempt})}))
    return shown_ones


@dataclass(frozen=True, slots=True)
class Once:
    """Sessions of a process that owns the state and then ends."""

    registry: Registry
    pool: SessionPool
    admission: Callable[[], Admission]
    now: Callable[[], datetime]

    def decide(self, directory: Directory) -> tuple[Decision, Mapping[str, History]]:
        """Look, and record what is declared now, as the daemon does before it runs anything."""
        recorder = Recorder(self.registry)
        recorder.recall()
        decision = recorder.decide(directory.look(everything=True), self.now())
        recorder.retire(recorder.gone(decision.desired), self.now())
        return decision, self.registry.histories(decision.desired.collectors)

    def run(self, decision: Decision, histories: Mapping[str, History], names: Collection[str], force: bool,
            on_progress: OnProgress) -> dict[str, Session]:
        """One session of each of `names`; how each went."""
        chosen = [collector for name, collector in decision.desired.collectors.items() if name in names]
        return asyncio.run(self._all(decision, histories, chosen, force, on_progress))

    async def _all(self, decision: Decision, histories: Mapping[str, History], chosen: Sequence[DesiredCollector],
                   force: bool, on_progress: OnProgress) -> dict[str, Session]:
        admission = self.admission()
        works = [self._work(decision, histories, collector, on_progress) for collector in chosen]
        try:
            reports = await asyncio.gather(*[self._one(work, admission, force) for work in works])
        finally:
            for work in works:
                work.control.give_up()
        return {work.collector.name: Session.of(report) for work, report in zip(works, reports, strict=True)}

    @staticmethod
    def _work(decision: Decision, histories: Mapping[str, History], collector: DesiredCollector,
              on_progress: OnProgress) -> Work:
        name = collector.name
        control = SessionControl(lambda report: on_progress(name, Session.of(report)))
        history = histories.get(name)
        return Work(collector, history.retry if history else None, decision.versions[name].fresh, control)

    async def _one(self, work: Work, admission: Admission, force: bool) -> SessionReport:
        refusal = self._refusal(work, force)
        if refusal is not None:
            return SessionReport(self.now(), self.now(), Outcome.FAILED, error=refusal)
        async with _admitted(admission, work.collector.effective.source.host):
            return (await self.pool.run(work)).report

    def _refusal(self, work: Work, force: bool) -> Failure | None:
        """Why there must be no session: the server asked for a pause, or refused the login."""
        collector, retry = work.collector, work.retry
        if not collector.supported and collector.problem:
            return Failure(collector.problem.reason, collector.problem.message)
        if not collector.effective.enabled:
            return Failure("Disabled", f"{collector.name} is disabled: set `enabled: true` in its manifest")
        if retry is None or retry.digest != collector.effective_digest or is_lifted(retry, collector, self.pool.stamp):
            return None
        if not forbids(retry, self.now(), force=force):
            return None
        return Failure(retry.reason, f"next attempt at {timestamp(retry.next_attempt)}: {retry.message}")


@asynccontextmanager
async def _admitted(admission: Admission, host: str) -> AsyncIterator[None]:
    """Inside of this context a session with this host may run."""
    room = asyncio.Event()
    ticket = admission.request(host, room.set)
    try:
        await room.wait()
        yield
    finally:
        if room.is_set():
            admission.release(host)
        else:
            admission.cancel(ticket)
