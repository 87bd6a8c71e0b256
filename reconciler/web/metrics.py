"""`/metrics`: the figures of `get -o json` for Prometheus, made anew for each request.

Names and units follow Prometheus' conventions. A label is a collector's name or one of a few fixed
words, never anything that a server, a message or a secret brought (hazard S6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.status import ShownCollector, ShownSession, Status

_PREFIX = "mailcollector"
_SEVERITIES = ("error", "warning", "info")
Reading = Callable[[Status], float | None]
"""None: there is nothing to say yet."""


def metrics(
    collectors: Sequence[ShownCollector],
    diagnostics: Iterable[Diagnostic],
    version: str,
    accept: str,
    internal_errors: int = 0,
) -> tuple[bytes, str]:
    """Return the text and its media type: OpenMetrics if the `Accept` header asks for it, else
    Prometheus' own format."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(collectors, tuple(diagnostics), version, internal_errors))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Snapshot(Collector):
    def __init__(
        self,
        collectors: Sequence[ShownCollector],
        diagnostics: Sequence[Diagnostic],
        version: str,
        internal_errors: int,
    ) -> None:
        self._collectors = collectors
        self._diagnostics = diagnostics
        self._version = version
        self._internal_errors = internal_errors

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(_PREFIX, "The program.", {"version": self._version})
        yield self._findings()
        yield CounterMetricFamily(
            f"{_PREFIX}_internal_errors",
            "Defects of mailcollector that came up; its log tells where. To be reported.",
            value=self._internal_errors,
        )
        yield self._conditions()
        yield self._messages()
        yield self._counter(
            "sessions", "Sessions that have ended.", lambda status: status.totals.sessions
        )
        yield self._counter(
            "received_bytes",
            "Octets of messages that were collected.",
            lambda status: status.totals.bytes,
        )
        yield self._standing()
        yield self._gauge(
            "last_session_success", "1 if the last session succeeded, else 0.", _success
        )
        yield self._gauge(
            "last_session_timestamp_seconds",
            "When the last session ended.",
            lambda status: _seconds(
                status.last_session.finished_at if status.last_session else None
            ),
        )
        yield self._gauge(
            "next_session_timestamp_seconds",
            "When the next session is due.",
            lambda status: _seconds(status.next_session),
        )
        yield self._gauge(
            "oauth2_token_expiry_timestamp_seconds",
            "When the access token in use expires.",
            lambda status: _seconds(status.token_expires_at),
        )

    def _findings(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_PREFIX}_manifest_findings", "What is wrong with the manifests.", labels=["severity"]
        )
        found = [str(diagnostic.severity) for diagnostic in self._diagnostics]
        for severity in _SEVERITIES:
            family.add_metric([severity], found.count(severity))
        return family

    def _conditions(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_PREFIX}_collector_condition",
            "1 if the condition is True, else 0.",
            labels=["collector", "type"],
        )
        for name, status in self._all():
            for condition in status.conditions:
                family.add_metric([name, condition.type], float(condition.status == "True"))
        return family

    def _messages(self) -> Metric:
        family = CounterMetricFamily(
            f"{_PREFIX}_messages",
            "Messages, by what became of them.",
            labels=["collector", "result"],
        )
        for name, status in self._all():
            family.add_metric([name, "collected"], status.totals.collected)
            family.add_metric([name, "failed"], status.totals.failed)
            family.add_metric([name, "deleted"], status.totals.deleted)
        return family

    def _standing(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_PREFIX}_server_messages",
            "Messages on the server when it was listed last.",
            labels=["collector", "state"],
        )
        for name, status in self._all():
            for state, count in _states(status.last_session):
                family.add_metric([name, state], count)
        return family

    def _counter(self, name: str, text: str, reading: Reading) -> Metric:
        return self._filled(
            CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["collector"]), reading
        )

    def _gauge(self, name: str, text: str, reading: Reading) -> Metric:
        return self._filled(
            GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["collector"]), reading
        )

    def _filled(self, family: CounterMetricFamily | GaugeMetricFamily, reading: Reading) -> Metric:
        for name, status in self._all():
            if (value := reading(status)) is not None:
                family.add_metric([name], value)
        return family

    def _all(self) -> Iterator[tuple[str, Status]]:
        return ((found.metadata.name, found.status) for found in self._collectors)


def _states(session: ShownSession | None) -> tuple[tuple[str, int], ...]:
    """Yield the states of messages; they add up to what was listed."""
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


def _seconds(when: datetime | None) -> float | None:
    return when.timestamp() if when is not None else None
