"""Runs one session of each collector without a daemon, in a process that ends then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.collect.backoff import end_time, forbids, remaining
from reconciler.control.admission import Admission, NotAdmitted, admitted
from reconciler.control.decision_recorder import Decision
from reconciler.control.host_health import target_of
from reconciler.control.service_pause import Pause
from reconciler.control.session_control import Relay, SessionControl
from reconciler.control.session_pool import SessionPool
from reconciler.control.session_request import SecretStamp, SessionRequest, is_secret_changed
from reconciler.model.collector_state import PAUSED
from reconciler.model.history import History, Retry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.model.timestamps import timestamp
from reconciler.planning.desired_state import DesiredCollector

OnProgress = Callable[[str, SessionReport], None]


class OneSessionEach(Struct, frozen=True):
    """Runs sessions in a process that owns the state directory and then ends. `asked`: somebody
    asked for these very collectors; else it is their turn, as in `run --once`. `pause`: there are
    no sessions while the service is paused."""

    pool: SessionPool
    admission: Callable[[], Admission]
    now: Callable[[], datetime]
    asked: bool
    pause: Pause | None = None

    def run(
        self,
        decision: Decision,
        histories: Mapping[str, History],
        names: Collection[str],
        force: bool,
        on_progress: OnProgress,
    ) -> dict[str, SessionReport]:
        """Run one session of each of `names`; return how each went, by name."""
        chosen = [
            collector for name, collector in decision.desired.collectors.items() if name in names
        ]
        return asyncio.run(self._all(decision, histories, chosen, force, on_progress))

    async def _all(
        self,
        decision: Decision,
        histories: Mapping[str, History],
        chosen: Sequence[DesiredCollector],
        force: bool,
        on_progress: OnProgress,
    ) -> dict[str, SessionReport]:
        admission = self.admission()
        for collector in chosen:
            admission.join(collector.name, target_of(collector), 0.0)
        works = [self._work(decision, histories, collector, on_progress) for collector in chosen]
        try:
            reports = await asyncio.gather(*[self._one(work, admission, force) for work in works])
        finally:
            for work in works:
                work.control.give_up()
        return {work.collector.name: report for work, report in zip(works, reports, strict=True)}

    def _work(
        self,
        decision: Decision,
        histories: Mapping[str, History],
        collector: DesiredCollector,
        on_progress: OnProgress,
    ) -> SessionRequest:
        name = collector.name
        control = SessionControl(
            lambda report: on_progress(name, report),
            ignores_pauses=True,
            repeats_unanswered=self.asked,
        )
        history = histories.get(name)
        return SessionRequest(
            collector, history.retry if history else None, decision.versions[name].fresh, control
        )

    async def _one(self, work: SessionRequest, admission: Admission, force: bool) -> SessionReport:
        refusal = self._refusal(work, force)
        if refusal is not None:
            return SessionReport(self.now(), self.now(), Outcome.FAILED, error=refusal)
        collector = work.collector
        try:
            async with admitted(admission, target_of(collector)) as ticket:
                relay = Relay(asyncio.get_running_loop())
                work.control.entered = lambda: relay.call(lambda: admission.entered(ticket))
                work.control.another_login = lambda: relay.call(
                    lambda: admission.another_login(ticket)
                )
                report = (await self.pool.run(work)).report
                admission.learn(ticket, report, reached=not work.control.failed_elsewhere)
                return report
        except NotAdmitted as away:
            return SessionReport(self.now(), self.now(), Outcome.FAILED, error=Failure.of(away))

    def _refusal(self, work: SessionRequest, force: bool) -> Failure | None:
        """Return why no session may start: the service is paused, the server asked for fewer
        requests, or it refused the login; None where there may be one."""
        collector, retry = work.collector, work.retry
        if self.pause is not None:
            return Failure(PAUSED, f"the service is {self.pause.sentence}")
        if not collector.may_run and collector.problem:
            return Failure(collector.problem.reason, collector.problem.message)
        if not collector.effective.enabled:
            return Failure(
                "Disabled", f"{collector.name} is disabled: set `enabled: true` in its manifest"
            )
        return find_refusal(collector, retry, self.pool.stamp, self.now(), force=force)


def find_refusal(
    collector: DesiredCollector,
    retry: Retry | None,
    stamp: SecretStamp,
    now: datetime,
    *,
    force: bool,
) -> Failure | None:
    """Return why nobody must log in to this account now, by a back-off that was kept; None where
    that is allowed."""
    if (
        retry is None
        or retry.digest != collector.effective_digest
        or is_secret_changed(retry, collector, stamp)
    ):
        return None
    interval = seconds(collector.effective.collect.interval)
    if not forbids(retry, remaining(retry, interval, now), force=force):
        return None
    return Failure(
        retry.reason,
        f"next attempt at {timestamp(end_time(retry, interval, now))}: {retry.message}",
    )
