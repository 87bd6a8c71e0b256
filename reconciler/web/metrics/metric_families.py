"""Families of the catalogue's metrics, to be filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric

from reconciler.control.service_figures import Distribution
from reconciler.web.metrics.metric_catalogue import CATALOGUE, MetricDescription

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the value."""


def family(name: str, samples: Iterable[Sample]) -> Metric:
    """Return a gauge or counter with these samples."""
    found = CATALOGUE[name]
    made = _empty(found)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


def single(name: str, value: float | None) -> Iterator[Metric]:
    """Yield a gauge or counter without labels. Nothing where there is nothing to say yet."""
    if value is not None:
        yield family(name, [((), value)])


def histogram(name: str, distributions: Iterable[tuple[tuple[str, ...], Distribution]]) -> Metric:
    """Return a histogram with these values of its labels."""
    found = CATALOGUE[name]
    made = HistogramMetricFamily(found.base, found.text, labels=found.labels)
    for labels, distribution in distributions:
        buckets = [
            ("+Inf" if bound == inf else str(float(bound)), float(count))
            for bound, count in distribution.cumulative()
        ]
        made.add_metric(labels, buckets, distribution.sum)
    return made


def program(version: str) -> Metric:
    found = CATALOGUE[""]
    return InfoMetricFamily(found.base, found.text, {"version": version})


def _empty(found: MetricDescription) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if found.kind == "counter" else GaugeMetricFamily
    return kind(found.base, found.text, labels=found.labels)
