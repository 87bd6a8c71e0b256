"""Sessions: blocking work, each in a thread of a bounded pool, steered from the control loop."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.collect.backoff import LOGIN_REFUSED, taught
from reconciler.control.contained_defects import INTERNAL_ERROR
from reconciler.control.event_loop import ThreadPool
from reconciler.log import log
from reconciler.model.errors import (
    AccountNotReady,
    AuthenticationFailed,
    CollectorError,
    NoThread,
    SecretUnavailable,
    SourceError,
)
from reconciler.model.history import Retry
from reconciler.model.interfaces import Push, PushFactory, Registry
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.spec import seconds
from reconciler.model.timestamps import timestamp
from reconciler.planning.desired_state import DesiredCollector


class SessionControl:
    """Between a running session and the control loop. The session asks `stopping` between messages,
    tells its `progress`, and registers with `on_give_up` what breaks its connection; the rest is
    for the control loop."""

    def __init__(
        self,
        tell: Callable[[SessionReport], None] = lambda _: None,
        *,
        insisting: bool = False,
        repeating: bool = False,
        login: Callable[[], None] = lambda: None,
        entered: Callable[[], None] = lambda: None,
    ) -> None:
        """`login` hears of each login but the first, in the session's thread."""
        self.entered = entered
        """To be called, from any thread, when the server has let us in."""
        self.failed_elsewhere = False
        """It did not come as far as the server: that says nothing of it."""
        self.failure: Failure | None = None
        """What ended a check."""
        self.insisting = insisting
        """Pauses of messages do not count."""
        self.repeating = repeating
        """Nor do those of messages that a receiver may have taken: somebody asked for this very
        session."""
        self.another_login = login
        self._tell = tell
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._given_up = False
        self._abort: Callable[[], None] | None = None

    @property
    def stopping(self) -> bool:
        """Finish the message in hand, then end."""
        return self._stop.is_set()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What fails inside of this context is not the server's fault: reading a secret, getting a
        token."""
        try:
            yield
        except CollectorError:
            self.failed_elsewhere = True
            raise

    def progress(self, report: SessionReport) -> None:
        """The counters so far; from any thread."""
        self._tell(report)

    def on_give_up(self, abort: Callable[[], None]) -> None:
        """What breaks the connection, from any thread; called at once if the session is given up
        already."""
        with self._lock:
            self._abort = abort
            given_up = self._given_up
        if given_up:
            abort()

    def stop(self) -> None:
        self._stop.set()

    def give_up(self) -> None:
        """Stop, and do not wait for the message in hand."""
        self._stop.set()
        with self._lock:
            self._given_up = True
            abort = self._abort
        if abort is not None:
            abort()


class Relay:
    """Takes counters from the session's thread to the event loop: the latest ones, however often
    they are told."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[SessionReport], None] = lambda _: None,
    ) -> None:
        self._loop = loop
        self._tell = tell
        self._latest: SessionReport | None = None
        self._on_its_way = False

    def tell(self, report: SessionReport) -> None:
        self._latest = report  # before the flag is looked at: who clears it reads this afterwards
        if not self._on_its_way:
            self._on_its_way = True
            self.call(self._deliver)

    def call(self, call: Callable[[], None]) -> None:
        """In the event loop; not, where that is over and its session was left behind."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _deliver(self) -> None:
        self._on_its_way = False
        if self._latest is not None:
            self._tell(self._latest)


SecretStamp = Callable[[DesiredCollector], str]
"""Changes when the files do that the collector's secrets live in."""
_SECRETS_FAULT = {AuthenticationFailed.reason, LOGIN_REFUSED, SecretUnavailable.reason}


def unstamped(_: DesiredCollector) -> str:
    """For secrets of which nobody can tell."""
    return ""


def is_secret_changed(retry: Retry, collector: DesiredCollector, stamp: SecretStamp) -> bool:
    """Whether the secret that the back-off is for has changed since."""
    return retry.stamp is not None and retry.stamp != stamp(collector)


RunSession = Callable[[DesiredCollector, SessionControl], SessionReport]
Decide = Callable[[SessionReport, Retry | None, str, float, datetime], Retry | None]


class SessionRequest(Struct, frozen=True):
    """A session to run. `retry`: the back-off as it is kept, be it of this spec or of an older one;
    `unpark`: the spec is new, so what is parked is tried again."""

    collector: DesiredCollector
    retry: Retry | None = None
    unpark: bool = False
    control: SessionControl = field(default_factory=SessionControl)
    judge: Callable[[SessionReport], SessionReport] = lambda report: report
    """What the report means beside what others found at the same host."""
    open_push: PushFactory | None = None
    """Where the server is to tell of new mail from now on."""


class SessionResult(Struct, frozen=True):
    """How it went, and the back-off that follows. `push`: the connection that was asked for, where
    it was to be had."""

    report: SessionReport
    retry: Retry | None
    push: Push | None = None


class RunsSessions(Protocol):
    """Runs sessions; never raises."""

    async def run(self, work: SessionRequest) -> SessionResult: ...


class SessionPool:
    """At most `size` sessions at once; the caller admits no more (`Admission`)."""

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
        """The same in the calling thread."""
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
        _log(collector.name, report)
        retry = self._backed_off(collector, report, previous)
        if retry is not None and retry.reason in _SECRETS_FAULT:
            # a session may itself have written a new refresh token: that is no reason to try again
            retry = replace(
                retry, stamp=self.stamp(collector) if collector.effective.source.oauth2 else before
            )
        _log_retry(collector.name, work.retry, retry)
        if retry != work.retry:
            _keep(self._registry, work.collector.name, retry)
        return SessionResult(report, retry, push)

    def learn(
        self, collector: DesiredCollector, report: SessionReport, previous: Retry | None
    ) -> Retry | None:
        """See `learn`. Blocking."""
        return learn(self._registry, collector, report, previous, self.stamp, self._now())

    def close(self) -> None:
        """Take no more work; whoever still works is not waited for."""
        self._threads.close()

    def _backed_off(
        self, collector: DesiredCollector, report: SessionReport, previous: Retry | None
    ) -> Retry | None:
        interval = seconds(collector.effective.collect.interval)
        return self._decide(report, previous, collector.effective_digest, interval, self._now())

    def _report(self, work: SessionRequest) -> tuple[SessionReport, Push | None]:
        """The one place where any failure of a session ends: its loop goes on, and the others never
        notice."""
        started = self._now()
        push: Push | None = None
        try:
            if work.unpark:
                self._registry.unpark(work.collector.name)
            push = _begun(work)
            return self._run_session(work.collector, work.control), push
        except CollectorError as error:
            return self._failed(started, Failure.of(error)), push
        except Exception as error:  # noqa: BLE001
            where = _where(error)
            facts = {
                "collector": work.collector.name,
                "error": type(error).__name__,
                "where": where,
            }
            # its text may quote a password
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
    """The back-off after a check of this collector; kept, as that of a session."""
    if previous is not None and is_secret_changed(previous, collector, stamp):
        previous = None
    interval = seconds(collector.effective.collect.interval)
    retry = taught(report, previous, collector.effective_digest, interval, now)
    if retry is not None and retry.reason in _SECRETS_FAULT and retry != previous:
        retry = replace(retry, stamp=stamp(collector))
    if retry != previous:
        _log_retry(collector.name, previous, retry)
        _keep(registry, collector.name, retry)
    return retry


def _keep(registry: Registry, name: str, retry: Retry | None) -> None:
    try:
        registry.save_retry(name, retry)
    except CollectorError as error:
        log.warning("back-off is not kept across a restart", collector=name, error=str(error))


def _begun(work: SessionRequest) -> Push | None:
    """The connection on which the server tells of new mail; None where there is none to be had,
    which is no failure of the session. A refused password is one: the session does not repeat it.
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


def _log(name: str, report: SessionReport) -> None:
    """One line for each session."""
    facts: dict[str, object] = {
        "collector": name,
        "outcome": report.outcome.value,
        "listed": report.listed,
        "collected": report.collected,
        "skipped": report.skipped,
        "parked": report.parked,
        "failed": report.failed,
        "left": report.left,
        "deleted": report.deleted,
        "bytes": report.bytes,
        "seconds": round((report.finished_at - report.started_at).total_seconds(), 3),
    }
    if report.notes:
        facts["notes"] = list(report.notes)
    if report.error is None:
        log.info("session", **facts)
    else:
        log.warning("session", **facts, reason=report.error.reason, error=report.error.message)


def _log_retry(name: str, before: Retry | None, now: Retry | None) -> None:
    """What comes of a session for the next one: a login that waits, and until when; a collector
    that is well again."""
    if now is None:
        if before is not None:
            log.info("recovered", collector=name, after=before.failures, reason=before.reason)
        return
    facts = {
        "collector": name,
        "reason": now.reason,
        "failures": now.failures,
        "until": timestamp(now.next_attempt),
    }
    if now.reason in _SECRETS_FAULT | {AccountNotReady.reason}:
        log.warning("stalled", **facts, sooner="when the manifest or the secret changes")
    else:
        log.debug("backing off", **facts)


def _where(error: Exception) -> list[str]:
    """The places a defect went through. Neither its text nor any source line: they may quote a
    password."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
