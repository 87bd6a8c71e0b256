"""The text of `/metrics`, made anew for each request."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from reconciler.control.service_snapshot import ServiceSnapshot
from reconciler.model.settings import MetricsMode
from reconciler.web.metrics.collector_series import collector_series, select_collectors
from reconciler.web.metrics.metric_families import program, single
from reconciler.web.metrics.service_series import service_series


class MetricsFacts(Collector):
    """Facts besides the snapshot: the version, the ledger's size, and which collectors have
    series of their own."""

    def __init__(
        self,
        snapshot: ServiceSnapshot,
        version: str,
        mode: MetricsMode | None = None,
        ledger_size: int | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._version = version
        self._mode = mode
        self._ledger_size = ledger_size

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics. It is called once: see `exposition_text`."""
        yield program(self._version)
        yield from service_series(self._snapshot, self._ledger_size)
        shown = select_collectors(self._snapshot.collectors, self._mode)
        yield from single("collectors_with_series", len(shown))
        yield from collector_series(shown)


def exposition_text(facts: MetricsFacts, accept: str) -> tuple[bytes, str]:
    """Return the text and its media type: OpenMetrics if the `Accept` header asks for it, else
    Prometheus' own format."""
    registry = CollectorRegistry()
    registry.register(facts)
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
