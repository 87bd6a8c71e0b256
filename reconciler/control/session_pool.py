"""Runs sessions, which block, each in a thread of a bounded pool; they are steered from the event
loop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from reconciler.collect.backoff import backoff_after_check
from reconciler.control.contained_defects import INTERNAL_ERROR
from reconciler.control.event_loop import ThreadPool
from reconciler.control.session_control import SessionControl
from reconciler.control.session_log import code_places, log_retry, log_session
from reconciler.control.session_request import (
    SECRET_REASONS,
    SecretStamp,
    SessionRequest,
    SessionResult,
    is_secret_changed,
    unstamped,
)
from reconciler.log import log
from reconciler.model.errors import AuthenticationFailed, CollectorError, NoThread, SourceError
from reconciler.model.history import Retry
from reconciler.model.interfaces import Push, Registry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.planning.desired_state import DesiredCollector

RunSession = Callable[[DesiredCollector, SessionControl], SessionReport]
Decide = Callable[[SessionReport, Retry | None, str, float, datetime], Retry | None]


class SessionPool:
    """Runs at most `size` sessions at once. The caller admits no more (`Admission`)."""

    def __init__(
        self,
        run_session: RunSession,
        decide: Decide,
        registry: Registry,
        size: int,
        now: Callable[[], datetime],
        stamp: SecretStamp = unstamped,
    ) -> None:
        self.stamp = stamp
        self._run_session = run_session
        self._decide = decide
        self._registry = registry
        self._now = now
        self._threads = ThreadPool("session", size)

    async def run(self, work: SessionRequest) -> SessionResult:
        try:
            return await self._threads.run(self.session, work)
        except NoThread as error:
            work.control.failed_elsewhere = True
            report = self._failed(self._now(), Failure.of(error))
            return SessionResult(report, self._backed_off(work.collector, report, work.retry))

    def session(self, work: SessionRequest) -> SessionResult:
        """Run a session in the calling thread. See `run`."""
        collector, previous = work.collector, work.retry
        if previous is not None and is_secret_changed(previous, collector, self.stamp):
            previous = None
        before = self.stamp(collector)
        source, collect = collector.effective.source, collector.effective.collect
        log.debug(
            "session begins",
            collector=collector.name,
            protocol=source.protocol,
            host=source.host,
            user=source.username,
            mode=collect.mode,
            limit=collect.limit,
            after=previous.reason if previous else None,
        )
        report, push = self._report(work)
        report = work.judge(report)
        log_session(collector.name, report)
        retry = self._backed_off(collector, report, previous)
        if retry is not None and retry.reason in SECRET_REASONS:
            # a session may itself have written a new refresh token: that is no reason to try again
            retry = replace(
                retry, stamp=self.stamp(collector) if collector.effective.source.oauth2 else before
            )
        log_retry(collector.name, work.retry, retry)
        if retry != work.retry:
            _keep(self._registry, work.collector.name, retry)
        return SessionResult(report, retry, push)

    def learn(
        self, collector: DesiredCollector, report: SessionReport, previous: Retry | None
    ) -> Retry | None:
        """Return the back-off after a check. See `learn`. Blocking."""
        return learn(self._registry, collector, report, previous, self.stamp, self._now())

    def close(self) -> None:
        """Take no more work; sessions that still run are not waited for."""
        self._threads.close()

    def _backed_off(
        self, collector: DesiredCollector, report: SessionReport, previous: Retry | None
    ) -> Retry | None:
        interval = seconds(collector.effective.collect.interval)
        return self._decide(report, previous, collector.effective_digest, interval, self._now())

    def _report(self, work: SessionRequest) -> tuple[SessionReport, Push | None]:
        """Run the session. None of its failures is raised, so its loop goes on and the others
        are not affected."""
        started = self._now()
        push: Push | None = None
        try:
            if work.unpark:
                self._registry.unpark(work.collector.name)
            push = _open_push(work)
            return self._run_session(work.collector, work.control), push
        except CollectorError as error:
            return self._failed(started, Failure.of(error)), push
        except Exception as error:  # noqa: BLE001
            where = code_places(error)
            facts = {
                "collector": work.collector.name,
                "error": type(error).__name__,
                "where": where,
            }
            # without the text of the exception, which may quote a password
            log.error("defect in a session", **facts)  # noqa: TRY400
            return self._failed(
                started,
                Failure(
                    INTERNAL_ERROR,
                    f"{type(error).__name__} at {where[-1]}: a defect of "
                    "mailcollector, please report it with the log",
                ),
            ), push

    def _failed(self, started: datetime, failure: Failure) -> SessionReport:
        return SessionReport(started, self._now(), Outcome.FAILED, error=failure)


def learn(
    registry: Registry,
    collector: DesiredCollector,
    report: SessionReport,
    previous: Retry | None,
    stamp: SecretStamp,
    now: datetime,
) -> Retry | None:
    """Return the back-off after a check of this collector, and keep it as that of a session."""
    if previous is not None and is_secret_changed(previous, collector, stamp):
        previous = None
    interval = seconds(collector.effective.collect.interval)
    retry = backoff_after_check(report, previous, collector.effective_digest, interval, now)
    if retry is not None and retry.reason in SECRET_REASONS and retry != previous:
        retry = replace(retry, stamp=stamp(collector))
    if retry != previous:
        log_retry(collector.name, previous, retry)
        _keep(registry, collector.name, retry)
    return retry


def _keep(registry: Registry, name: str, retry: Retry | None) -> None:
    try:
        registry.save_retry(name, retry)
    except CollectorError as error:
        log.warning("back-off is not kept across a restart", collector=name, error=str(error))


def _open_push(work: SessionRequest) -> Push | None:
    """Open the connection on which the server tells of new mail.

    None where it cannot be opened, which is no failure of the session. A refused password is one:
    the session does not repeat the login.
    """
    if work.open_push is None:
        return None
    push = work.open_push()
    work.control.on_give_up(push.abort)
    try:
        push.begin()
    except SourceError as error:
        push.close()
        if (
            isinstance(error, AuthenticationFailed)
            and work.collector.effective.source.oauth2 is None
        ):
            raise
        log.info("no push", collector=work.collector.name, reason=str(error))
        return None
    return push
