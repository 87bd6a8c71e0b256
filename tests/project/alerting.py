"""What deploy/ has for Prometheus and Grafana: the queries, and promtool to check them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.project import ROOT

PROMTOOL = ROOT / ".servers" / "usr" / "bin" / "promtool"
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "rules.test.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "mailcollector.json"


def promtool(*arguments: str, text: str = "") -> None:
    """Run Debian's promtool, which `scripts/unpack-servers` unpacks."""
    done = subprocess.run(
        [str(PROMTOOL), *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def panel_queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def variable_queries() -> Iterator[str]:
    """The selectors that the variables take their values from."""
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert found is not None, variable
            yield f"count by ({found[2]}) ({found[1]})"


def as_rules(queries: list[str], directory: Path) -> Path:
    """A file of rules with these queries, so that promtool parses them."""
    rules = [
        {
            "record": f"dashboard:query:{number}",
            "expr": query.replace("$__rate_interval", "5m"),
        }
        for number, query in enumerate(queries)
    ]
    path = directory / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    return path
