"""Runs sessions, which block, each in a thread of a bounded pool; they are steered from the event
loop."""

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
    """What a running session and the event loop know of each other.

    The session asks for `stopping` between messages, reports its `progress`, and registers with
    `on_give_up` what breaks its connection. The event loop does the rest.
    """

    def __init__(
        self,
        tell: Callable[[SessionReport], None] = lambda _: None,
        *,
        insisting: bool = False,
        repeating: bool = False,
        login: Callable[[], None] = lambda: None,
        entered: Callable[[], None] = lambda: None,
    ) -> None:
        """`login` is called for each login but the first, `entered` when the server has let the
        session in; both in the session's thread."""
        self.entered = entered
        self.failed_elsewhere = False
        """It failed before it reached the server, so it says nothing of the server."""
        self.failure: Failure | None = None
        """What ended a check."""
        self.insisting = insisting
        """Messages that are paused are tried all the same."""
        self.repeating = repeating
        """So are those that a receiver may have taken already: somebody asked for this very
        session."""
        self.another_login = login
        self._tell = tell
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._given_up = False
        self._abort: Callable[[], None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether to end after the message in hand."""
        return self._stop.is_set()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Note that what fails inside of this context is not the server's fault: reading a secret,
        getting a token."""
        try:
            yield
        except CollectorError:
            self.failed_elsewhere = True
            raise

    def progress(self, report: SessionReport) -> None:
        """Report the counters so far, from any thread."""
        self._tell(report)

    def on_give_up(self, abort: Callable[[], None]) -> None:
        """Register what breaks the connection, from any thread. It is called at once where the
        session was given up already."""
        with self._lock:
            self._abort = abort
            given_up = self._given_up
        if given_up:
            abort()

    def stop(self) -> None:
        """End after the message in hand."""
        self._stop.set()

    def give_up(self) -> None:
        """End without waiting for the message in hand."""
        self._stop.set()
        with self._lock:
            self._given_up = True
            abort = self._abort
        if abort is not None:
            abort()


class Relay:
    """Takes counters from the session's thread to the event loop: only the latest ones, however
    often they are reported."""

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
        self._latest = report  # before the flag is read: `_deliver` clears it, then reads this
        if not self._on_its_way:
            self._on_its_way = True
            self.call(self._deliver)

    def call(self, call: Callable[[], None]) -> None:
        """Make a call in the event loop; none where that is closed and the session was left
        behind."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _deliver(self) -> None:
        self._on_its_way = False
        if self._latest is not None:
            self._tell(self._latest)


SecretStamp = Callable[[DesiredCollector], str]
"""Returns a string that changes with the files of the collector's secrets."""
_SECRET_REASONS = {AuthenticationFailed.reason, LOGIN_REFUSED, SecretUnavailable.reason}


def unstamped(_: DesiredCollector) -> str:
    """Return the stamp of secrets whose changes nobody can see."""
    return ""


def is_secret_changed(retry: Retry, collector: DesiredCollector, stamp: SecretStamp) -> bool:
    """Whether the secret that the back-off is for has changed since."""
    return retry.stamp is not None and retry.stamp != stamp(collector)


RunSession = Callable[[DesiredCollector, SessionControl], SessionReport]
Decide = Callable[[SessionReport, Retry | None, str, float, datetime], Retry | None]


class SessionRequest(Struct, frozen=True):
    """A session to run.

    `retry` is the back-off as it is kept, of this spec or of an older one. `unpark`: the spec is
    new, so parked messages are tried again. `judge` returns what the report means beside what
    others found at the same host. `open_push` opens the connection on which the server is to tell
    of new mail; None where it is not to.
    """

    collector: DesiredCollector
    retry: Retry | None = None
    unpark: bool = False
    control: SessionControl = field(default_factory=SessionControl)
    judge: Callable[[SessionReport], SessionReport] = lambda report: report
    open_push: PushFactory | None = None


class SessionResult(Struct, frozen=True):
    """How a session went, and the back-off that follows. `push`: the connection that was asked for;
    None where it could not be opened."""

    report: SessionReport
    retry: Retry | None
    push: Push | None = None


class RunsSessions(Protocol):
    """Runs sessions; never raises."""

    async def run(self, work: SessionRequest) -> SessionResult: ...


class SessionPool:
    """Runs at most `size` sessions at once; the caller admits no more (`Admission`)."""

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
        _log(collector.name, report)
        retry = self._backed_off(collector, report, previous)
        if retry is not None and retry.reason in _SECRET_REASONS:
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
        """Run the session. All its failures end here: its loop goes on, and the others never
        notice."""
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
            where = _where(error)
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
    retry = taught(report, previous, collector.effective_digest, interval, now)
    if retry is not None and retry.reason in _SECRET_REASONS and retry != previous:
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


def _log(name: str, report: SessionReport) -> None:
    """Log one line for each session."""
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
    """Log what follows for the next session: a back-off that begins, or one that is over."""
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
    if now.reason in _SECRET_REASONS | {AccountNotReady.reason}:
        log.warning("stalled", **facts, sooner="when the manifest or the secret changes")
    else:
        log.debug("backing off", **facts)


def _where(error: Exception) -> list[str]:
    """Return the places that a defect went through, innermost last. Neither its text nor a source
    line is among them: they may quote a password."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
