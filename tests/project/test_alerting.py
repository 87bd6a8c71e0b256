"""The alerts, their tests and their runbook, and the dashboard: all of them use metrics that there
are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.model.collector_state import CollectorState
from reconciler.model.errors import AuthenticationFailed
from reconciler.web.metrics.metric_catalogue import CATALOGUE, MetricDescription
from tests.project import ROOT
from tests.project.alerting import (
    RULE_TESTS,
    RULES,
    alerts,
    as_rules,
    dashboard,
    panel_queries,
    promtool,
    variable_queries,
)
from tests.web.shown import collector
from tests.web.test_metrics import text_of

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
QUERIES = [*panel_queries(), *variable_queries()]
EXPRESSIONS = [str(alert["expr"]) for alert in alerts()]
NAMES = [str(alert["alert"]) for alert in alerts()]
SCRAPED = {"job", "instance"}
VALUES = {
    "state": {state.value for state in CollectorState},
    "severity": {"error", "warning", "info"},
    "type": {"Ready", "Reconciling", "Stalled"},
    "result": {"collected", "failed", "deleted"},
    "reason": {AuthenticationFailed.reason},
    "job": {"mailcollector"},
}
"""What a query may compare these labels with."""
_PROCESS = set(re.findall(r"process_\w+", text_of("none")))
_USED = re.compile(r"\b((?:mailcollector|process)_\w+|up\b)(?:\{([^}]*)\})?")


def described(name: str) -> MetricDescription | None:
    """The metric of the catalogue that has this name, or a part of this histogram."""
    for one in CATALOGUE.values():
        parts = ("_bucket", "_sum", "_count") if one.kind == "histogram" else ("",)
        if name in {one.shown + part for part in parts}:
            return one
    return None


@pytest.mark.parametrize("query", [*EXPRESSIONS, *QUERIES])
def test_each_query_uses_metrics_and_labels_that_there_are(query: str) -> None:
    used = _USED.findall(query)
    assert used
    for name, matchers in used:
        found = described(name)
        assert found is not None or name == "up" or name in _PROCESS, name
        labels = {*(found.labels if found else ()), *SCRAPED}
        if name.endswith("_bucket"):
            labels.add("le")
        for label, value in re.findall(r'(\w+)\s*!?=~?\s*"([^"]*)"', matchers):
            assert label in labels, (name, label)
            assert value.startswith("$") or value in VALUES[label], (label, value)
        if found is not None:
            grouped = re.findall(r"by \(([^)]*)\)", query)
            assert {label for one in grouped for label in one.split(", ")} <= {
                label for each in used for label in (described(each[0]) or found).labels
            } | SCRAPED | {"le"}


def test_promtool_finds_the_rules_right() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(RULE_TESTS))


def test_promtool_reads_each_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool("check", "rules", str(as_rules(QUERIES, tmp_path)))


def test_promtool_finds_the_names_and_units_of_the_metrics_right() -> None:
    text = text_of("all", collector("sales"))
    ours = "".join(
        line + "\n" for line in text.splitlines() if not re.match(r"(?:# \w+ )?process_", line)
    )
    promtool("check", "metrics", text=ours)


def test_each_alert_is_tested_to_come_and_to_stay_away() -> None:
    tests = YAML(typ="safe").load(RULE_TESTS)["tests"]
    well, *cases = tests
    assert {one["alertname"] for one in well["alert_rule_test"]} == set(NAMES)
    assert not any(one["exp_alerts"] for one in well["alert_rule_test"])
    coming = {
        one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]
    }
    assert coming == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    (alert,) = (one for one in alerts() if one["alert"] == name)
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    assert list(sections) == NAMES
    for name, text in sections.items():
        for part in ("Meaning", "Look at", "Do"):
            assert re.search(rf"^\*\*{part}\.\*\* [\w`]", text, re.MULTILINE), (
                name,
                part,
            )


def test_metrics_that_the_runbook_names_are_there() -> None:
    for name in re.findall(r"`(mailcollector_\w+)`", RUNBOOK):
        assert described(name) or any(name == one.base for one in CATALOGUE.values()), name


def test_the_dashboard_is_in_order() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert all(
                target["datasource"]["uid"] == "${datasource}" for target in panel["targets"]
            )


def test_every_metric_of_the_service_is_shown_or_watched() -> None:
    everything = " ".join([*EXPRESSIONS, *QUERIES])
    unused = {
        one.base
        for one in CATALOGUE.values()
        if not one.per_collector and not re.search(rf"\b{one.base}(?:_|\b)", everything)
    }
    assert unused <= {
        "mailcollector_provider_received_bytes",
        "mailcollector_collectors_with_series",
    }
