"""The tables of docs/metrics.md, made from the catalogue. `python -m tests.web.metrics_page` writes
them anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.web.metrics.metric_catalogue import CATALOGUE, MetricDescription
from tests.project import ROOT

PAGE = ROOT / "docs" / "metrics.md"
_TABLE = re.compile(
    r"(?<=\| metric \| kind \| labels \| tells \|\n\|---\|---\|---\|---\|\n)(?:\|.*\n)*"
)


def rendered(page: str) -> str:
    """The page with its tables as they should be: the service, then each collector."""
    tables = iter((_rows(per_collector=False), _rows(per_collector=True)))
    return _TABLE.sub(lambda _: "".join(next(tables)), page)


def _rows(*, per_collector: bool) -> Iterator[str]:
    return (_row(one) for one in CATALOGUE.values() if one.per_collector is per_collector)


def _row(one: MetricDescription) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.shown}` | {one.kind} | {labels} | {one.text} |\n"


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), encoding="utf-8")
