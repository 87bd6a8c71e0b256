"""The metrics of the service and of all collectors together. They are there in every mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from prometheus_client.metrics_core import Metric

from reconciler.control.service_figures import ServiceFigures
from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.model.collector_state import CollectorState, is_stale, state_of
from reconciler.model.provider_classes import OTHER, provider_class
from reconciler.model.status import ShownCollector, ShownSession
from reconciler.planning.version_choice import DIRECTORY_VANISHED, HELD
from reconciler.web.metrics.metric_families import family, histogram, single

_SEVERITIES = ("error", "warning", "info")
_IDLE = {CollectorState.DISABLED, CollectorState.PAUSED}
_HOLDING = {HELD, DIRECTORY_VANISHED}


def service_series(snapshot: ServiceSnapshot, ledger_size: int | None) -> Iterator[Metric]:
    """Yield the metrics of the service."""
    found = Counter(str(diagnostic.severity) for diagnostic in snapshot.diagnostics)
    yield family("manifest_findings", (((one,), found[one]) for one in _SEVERITIES))
    yield from single("internal_errors", snapshot.internal_errors)
    last = snapshot.last_turn
    yield from single("control_last_turn_timestamp_seconds", last.timestamp() if last else None)
    yield from single("control_trouble", snapshot.trouble)
    yield from single("paused", snapshot.paused)
    yield from single("ledger_size_bytes", ledger_size)
    counts = snapshot.sessions
    yield from single("sessions_limit", counts.limit)
    yield from single("sessions_running", counts.running)
    yield from single("sessions_queued", counts.queued)
    yield from single("sessions_host_away", counts.host_away)
    yield from _counted(snapshot.figures)
    yield from _of_all(_Sums(snapshot.collectors, datetime.now(UTC)))


def _counted(figures: ServiceFigures) -> Iterator[Metric]:
    """Yield what was counted since the start."""
    yield from single("control_failed_turns", figures.failed_turns)
    yield family("plan_steps", (((one,), count) for one, count in figures.plan_steps.items()))
    for name, distribution in (
        ("control_turn_duration_seconds", figures.turn_seconds),
        ("control_turn_lateness_seconds", figures.turn_lateness),
        ("event_loop_lag_seconds", figures.loop_lag),
        ("session_start_delay_seconds", figures.start_delays),
    ):
        yield histogram(name, [((), distribution)])
    yield histogram("session_duration_seconds", figures.session_seconds.items())
    yield histogram(
        "session_messages",
        (((provider,), one) for provider, one in figures.session_messages.items()),
    )
    yield family("session_failures", figures.failures.items())
    yield family("provider_messages", figures.messages.items())
    yield family(
        "provider_received_bytes",
        (((provider,), count) for provider, count in figures.received_bytes.items()),
    )


class _Sums:
    """The sums over all collectors."""

    def __init__(self, collectors: Sequence[ShownCollector], now: datetime) -> None:
        self.states: Counter[tuple[str, CollectorState]] = Counter()
        self.unserved: Counter[str] = Counter()
        """The sums by provider."""
        self.hosts: set[tuple[str, int]] = set()
        self.destinations: set[str] = set()
        self.held = self.stale = self.parked = self.failing = self.left = 0
        for collector in collectors:
            self._count_state(collector, now)
            self._count_messages(collector.status.last_session)

    def _count_state(self, collector: ShownCollector, now: datetime) -> None:
        status, state = collector.status, state_of(collector)
        provider = _provider(collector)
        self.states[provider, state] += 1
        self.held += any(condition.reason in _HOLDING for condition in status.conditions)
        host, destination = status.host_away, status.destination_away
        if host is not None:
            self.hosts.add((host.host, host.port))
        if destination is not None:
            self.destinations.add(destination.destination)
        away = host is not None or destination is not None
        well = not away and (state is CollectorState.WAITING or _is_ready(collector))
        self.unserved[provider] += state not in _IDLE and not well
        if state is CollectorState.READY and not away:
            self.stale += is_stale(collector, now)

    def _count_messages(self, last: ShownSession | None) -> None:
        if last is not None:
            self.parked += last.parked
            self.failing += last.failed
            self.left += last.left


def _of_all(sums: _Sums) -> Iterator[Metric]:
    providers = sorted({provider for provider, _ in sums.states})
    yield family(
        "collectors",
        (
            ((provider, state.value), sums.states[provider, state])
            for provider in providers
            for state in CollectorState
        ),
    )
    yield family(
        "unserved_collectors",
        (((provider,), sums.unserved[provider]) for provider in providers),
    )
    for name, value in (
        ("held_collectors", sums.held),
        ("stale_collectors", sums.stale),
        ("hosts_away", len(sums.hosts)),
        ("destinations_away", len(sums.destinations)),
        ("parked_messages", sums.parked),
        ("failing_messages", sums.failing),
        ("left_messages", sums.left),
    ):
        yield from single(name, value)


def _is_ready(collector: ShownCollector) -> bool:
    """Return whether a collector collects. It does so with a last good version, although it is
    stalled."""
    return any(one.type == "Ready" and one.status == "True" for one in collector.status.conditions)


def _provider(collector: ShownCollector) -> str:
    source = collector.spec.get("source", {})
    host = source.get("host")
    return provider_class(str(host), source.get("provider")) if host else OTHER
