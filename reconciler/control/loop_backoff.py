"""The back-off of one collector's loop: what its sessions found, and how long it forbids the next
one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from reconciler.collect.backoff import forbids, remaining
from reconciler.control.event_loop import Clock
from reconciler.control.host_health import SHARED_REASONS, HostHealth
from reconciler.control.session_request import SecretStamp, is_secret_changed
from reconciler.model.errors import CollectorError, Throttled
from reconciler.model.history import Retry
from reconciler.model.outcomes import SessionReport
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.model.timestamps import timestamp
from reconciler.planning.desired_state import DesiredCollector


class SessionRefused(CollectorError):
    """A session was asked for that must not start now. `next_attempt`: when it may."""

    def __init__(self, reason: str, message: str, next_attempt: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.next_attempt = next_attempt


class LoopBackoff:
    """The back-off of one collector. `collector` is what its loop runs now; the loop sets it."""

    __slots__ = ("_clock", "_not_greeted_at", "_recorded", "_stamp", "_until", "collector")

    def __init__(
        self, collector: DesiredCollector, retry: Retry | None, clock: Clock, stamp: SecretStamp
    ) -> None:
        self.collector = collector
        self._clock = clock
        self._stamp = stamp
        self._not_greeted_at: float | None = None
        """When the last session was refused before the server's greeting; None if it was not."""
        self.record(retry)

    def record(self, retry: Retry | None) -> None:
        """Keep this back-off in place of the one before."""
        self._recorded = retry
        self._until = self._clock.monotonic()
        """The end of the back-off by the monotonic clock, because the wall clock may jump."""
        if retry is not None:
            self._until += remaining(retry, self.interval, self._clock.now())

    def learn(self, report: SessionReport, retry: Retry | None) -> None:
        """Keep what a session found: the back-off that follows it, and whether it was greeted."""
        refused_ungreeted = report.error is not None and report.error.of_address
        self._not_greeted_at = self._clock.monotonic() if refused_ungreeted else None
        self.record(retry)

    @property
    def recorded(self) -> Retry | None:
        """The back-off as it is kept, of this spec or of an older one."""
        return self._recorded

    @property
    def active(self) -> Retry | None:
        """The back-off in force; one of an older spec is not."""
        retry = self._recorded
        return retry if retry and retry.digest == self.collector.effective_digest else None

    @property
    def ends_at(self) -> float:
        """When the recorded one ends, by the monotonic clock."""
        return self._until

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the back-off in force ends; None where there is none."""
        if self.active is None:
            return None
        return max(0.0, self._until - self._clock.monotonic())

    @property
    def interval(self) -> float:
        """The seconds between two sessions of the collector."""
        return seconds(self.collector.effective.collect.interval)

    def check_allowed(self, *, force: bool) -> None:
        """Raise SessionRefused where a session must not start, although somebody asks for it.

        That is while the server asks for a pause, and unless `force` while a refused login is not
        to be repeated. A secret that has changed since allows it.
        """
        retry = self.active
        if retry is None or is_secret_changed(retry, self.collector, self._stamp):
            return
        if forbids(retry, self.seconds_left or 0.0, force=force):
            at = self._clock.at(self._until)
            raise SessionRefused(
                retry.reason,
                f"{self.collector.name}: next attempt at {timestamp(at)}: {retry.message}",
                at,
            )

    def is_shared(self, retry: Retry | None) -> bool:
        """Return whether this back-off is for something that all collectors of the host, or of the
        destination, have in common."""
        return retry is not None and (
            retry.reason in SHARED_REASONS
            or (retry.reason == Throttled.reason and self._not_greeted_at is not None)
        )

    def verdict_on_refusals(self, health: HostHealth) -> Callable[[SessionReport], SessionReport]:
        """Return a function that corrects the next report. A collector that is not greeted twice,
        while its host lets others in, has too many connections."""
        before = self._not_greeted_at

        def judge(report: SessionReport) -> SessionReport:
            error = report.error
            if (
                error is None
                or not error.of_address
                or error.reason == Throttled.reason
                or (before is None or health.entered_at < before)
            ):
                return report
            message = f"{error.message}, and lets others in: too many connections, probably"
            return replace(report, error=replace(error, reason=Throttled.reason, message=message))

        return judge
