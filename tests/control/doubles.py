"""Stand-ins: sessions that take the time they are told to, and a registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from reconciler.collect.backoff import next_backoff
from reconciler.control.event_loop import Clock
from reconciler.control.session_request import SessionRequest, SessionResult
from reconciler.model.errors import LedgerUnavailable
from reconciler.model.history import (
    CollectedCount,
    DeclaredCollector,
    Declaring,
    FailedMessage,
    History,
    LastGood,
    ParkedMessage,
    Retry,
)
from reconciler.model.outcomes import Failure, Outcome, SessionReport, Totals
from reconciler.model.scalar_types import (
    seconds,
)


def report(started: datetime, finished: datetime, error: Failure | None = None) -> SessionReport:
    outcome = Outcome.FAILED if error else Outcome.SUCCEEDED
    return SessionReport(started, finished, outcome, listed=3, collected=3, bytes=300, error=error)


@dataclass
class VirtualSessions:
    """Each session lasts `length` seconds, or until it is stopped: then `finishing` seconds
    more. With `may_end` it lasts until that is set. `lets_in`: the server takes the login."""

    clock: Clock
    length: float = 1.0
    finishing: float = 0.5
    may_end: asyncio.Event | None = None
    failure: Failure | None = None
    lets_in: bool = True
    started: list[tuple[str, float]] = field(default_factory=list)
    works: list[SessionRequest] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    most: int = 0

    async def run(self, work: SessionRequest) -> SessionResult:
        name, began = work.collector.name, self.clock.now()
        assert not self.running.get(name), f"two sessions of {name} at once"
        self.started.append((name, self.clock.monotonic()))
        self.works.append(work)
        self.running[name] = 1
        self.most = max(self.most, len(self.running))
        if self.failure is None and self.lets_in:
            work.control.entered()
        stopped = await self._last(work)
        del self.running[name]
        done = report(began, self.clock.now(), self.failure)
        if stopped:
            done = replace(done, outcome=Outcome.INTERRUPTED, error=None)
        interval = seconds(work.collector.effective.collect.interval)
        return SessionResult(
            done,
            next_backoff(
                done,
                work.retry,
                work.collector.effective_digest,
                interval,
                self.clock.now(),
                chance=lambda: 0.0,
            ),
        )

    async def _last(self, work: SessionRequest) -> bool:
        if self.may_end:
            await self.may_end.wait()
            return work.control.stopping
        end = self.clock.monotonic() + self.length
        while (left := end - self.clock.monotonic()) > 1e-9:
            if work.control.stopping:
                await asyncio.sleep(self.finishing)
                return True
            await asyncio.sleep(min(0.125, left))
        return False

    def starts(self, name: str) -> list[float]:
        return [at for one, at in self.started if one == name]


@dataclass
class Told:
    """Hears what loops tell."""

    finished_reports: list[tuple[str, SessionReport]] = field(default_factory=list)
    ended_names: list[str] = field(default_factory=list)
    progress: list[tuple[str, SessionReport]] = field(default_factory=list)

    def changed(self, name: str) -> None:
        pass

    def host_changed(self, names: Collection[str]) -> None:
        pass

    def progressed(self, name: str, report: SessionReport) -> None:
        self.progress.append((name, report))

    def finished(self, name: str, report: SessionReport) -> None:
        self.finished_reports.append((name, report))

    def ended(self, name: str) -> None:
        self.ended_names.append(name)


@dataclass
class _Row:
    declared: DeclaredCollector
    digest: str
    retired: bool = False
    totals: Totals = field(default_factory=Totals)
    last: SessionReport | None = None
    retry: Retry | None = None
    size: int = 0


class MemoryRegistry:
    """A `Registry` that forgets when it is dropped. `broken`: raise LedgerUnavailable at every
    write."""

    def __init__(self) -> None:
        self.rows: dict[str, _Row] = {}
        self.good: dict[tuple[str, str], LastGood] = {}
        self.broken = False
        self.unparked: list[str] = []
        self.expired = 0

    def _check(self) -> None:
        if self.broken:
            raise LedgerUnavailable("the disk is full")

    def require_whole(self) -> None:
        self._check()

    def declare_all(
        self, declaring: Sequence[Declaring], now: datetime
    ) -> Mapping[str, DeclaredCollector]:
        self._check()
        return {one.name: self._declare(one.name, one.digest) for one in declaring}

    def _declare(self, name: str, digest: str) -> DeclaredCollector:
        row = self.rows.setdefault(name, _Row(DeclaredCollector(name, 0, 1), ""))
        row.retired = False
        if row.digest != digest:
            row.digest, row.declared = (
                digest,
                replace(row.declared, generation=row.declared.generation + 1),
            )
        return row.declared

    def rename(
        self, names: Mapping[str, str], declared: Mapping[str, str] | None = None
    ) -> Collection[str]:
        self._check()
        done = [old for old, new in names.items() if new not in self.rows or new in names]
        rows = {names[old]: self.rows.pop(old) for old in done}
        for new, row in rows.items():
            row.declared = replace(row.declared, name=new)
        self.rows |= rows
        return done

    def retire(self, name: str, now: datetime) -> None:
        self._check()
        self.rows[name].retired = True

    def histories(self, names: Iterable[str] | None = None) -> Mapping[str, History]:
        wanted = self.rows if names is None else set(names)
        return {
            name: History(row.declared, row.totals, row.last, row.retry, row.size)
            for name, row in self.rows.items()
            if name in wanted and not row.retired
        }

    def sessions(self, name: str, limit: int = 20) -> Sequence[SessionReport]:
        last = self.rows[name].last
        return [last] if last else []

    def collected_between(self, since: datetime, until: datetime) -> Sequence[CollectedCount]:
        return [
            CollectedCount(name, row.last.finished_at, row.last.collected)
            for name, row in self.rows.items()
            if row.last and since <= row.last.finished_at < until
        ]

    def parked(self, name: str, limit: int = 1000) -> Sequence[ParkedMessage]:
        return []

    def kept_back(self, name: str) -> int:
        return 0

    def failing(self, name: str, limit: int = 1000) -> Sequence[FailedMessage]:
        return []

    def accept_maildirs(self, collector: str, now: datetime) -> None:
        raise NotImplementedError

    def unpark(self, name: str) -> int:
        self.unparked.append(name)
        return 0

    def clear(self, name: str, now: datetime) -> DeclaredCollector:
        row = self.rows[name]
        row.declared, row.size = replace(row.declared, epoch=row.declared.epoch + 1), 0
        return row.declared

    def save_retry(self, name: str, retry: Retry | None) -> None:
        self._check()
        self.rows[name].retry = retry

    def save_last_good(
        self, changed: Sequence[LastGood], gone: Sequence[tuple[str, str]], now: datetime
    ) -> None:
        self._check()
        self.good.update({(one.kind, one.name): one for one in changed})
        for key in gone:
            del self.good[key]

    def size(self) -> int | None:
        return 4096

    def last_good(self) -> Sequence[LastGood]:
        return list(self.good.values())

    def expire(self, now: datetime) -> None:
        self.expired += 1


def later(moment: datetime, seconds_later: float) -> datetime:
    return moment + timedelta(seconds=seconds_later)
