"""The metrics of single collectors: the figures of `get -o json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client.metrics_core import Metric

from reconciler.model.collector_state import CollectorState, state_of
from reconciler.model.settings import MetricsMode
from reconciler.model.status import ShownCollector, ShownSession, Status
from reconciler.web.metrics.metric_families import Sample, family

MOST_IN_FULL = 1000
"""Collectors up to which all have series of their own unless `--metrics` says otherwise."""
_UNWELL = {CollectorState.STALLED, CollectorState.FAILING}
PreparedDocument = Callable[[Status], float | None]
"""Returns None where there is no value yet."""


def select_collectors(
    collectors: Sequence[ShownCollector], mode: MetricsMode | None
) -> Sequence[ShownCollector]:
    """Return the collectors that get series of their own."""
    if mode is None:
        mode = "all" if len(collectors) <= MOST_IN_FULL else "unhealthy"
    if mode == "none":
        return ()
    return collectors if mode == "all" else [one for one in collectors if not _is_well(one)]


def _is_well(collector: ShownCollector) -> bool:
    last = collector.status.last_session
    return state_of(collector) not in _UNWELL and not (last and (last.parked or last.failed))


def collector_series(collectors: Iterable[ShownCollector]) -> Iterator[Metric]:
    """Yield the metrics of these collectors."""
    found = [(one.metadata.name, one.status) for one in collectors]
    yield family(
        "collector_condition",
        (
            ((name, condition.type), float(condition.status == "True"))
            for name, status in found
            for condition in status.conditions
        ),
    )
    yield family(
        "messages",
        (
            ((name, result), getattr(status.totals, result))
            for name, status in found
            for result in ("collected", "failed", "deleted")
        ),
    )
    yield family(
        "server_messages",
        (
            ((name, state), count)
            for name, status in found
            for state, count in _message_states(status.last_session)
        ),
    )
    for metric, reading in _READINGS.items():
        yield family(metric, _read(found, reading))


def _read(found: Iterable[tuple[str, Status]], reading: PreparedDocument) -> Iterator[Sample]:
    for name, status in found:
        if (value := reading(status)) is not None:
            yield (name,), value


def _message_states(session: ShownSession | None) -> tuple[tuple[str, int], ...]:
    """Return the states of messages; they add up to what was listed."""
    if session is None:
        return ()
    return (
        ("collected", session.collected),
        ("skipped", session.skipped),
        ("parked", session.parked),
        ("failed", session.failed),
        ("left", session.left),
    )


def _success(status: Status) -> float | None:
    session = status.last_session
    if session is None or session.finished_at is None:
        return None
    return float(session.outcome == "succeeded")


def _ended(status: Status) -> float | None:
    return _seconds(status.last_session.finished_at if status.last_session else None)


def _seconds(when: datetime | None) -> float | None:
    return when.timestamp() if when is not None else None


_READINGS: dict[str, PreparedDocument] = {
    "sessions": lambda status: status.totals.sessions,
    "received_bytes": lambda status: status.totals.bytes,
    "last_session_success": _success,
    "last_session_timestamp_seconds": _ended,
    "next_session_timestamp_seconds": lambda status: _seconds(status.next_session),
    "oauth2_token_expiry_timestamp_seconds": lambda status: _seconds(status.token_expires_at),
}
