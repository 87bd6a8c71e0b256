"""What docs/ci.md, the action and the hook tell CI to run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from reconciler.manifests.reports.report_formats import REPORTERS
from tests.manifests.samples import COLLECTOR
from tests.project import ROOT

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def block(name: str) -> dict[str, Any]:
    found = [
        text for language, text in BLOCKS if language == "yaml" and text.startswith(f"# {name}\n")
    ]
    loaded: dict[str, Any] = YAML(typ="safe").load(found[0])
    return loaded


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "collectors.d").mkdir()
    (tmp_path / "collectors.d" / "good.yaml").write_text(COLLECTOR)
    return tmp_path


def run(script: str, where: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=where,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **variables},
    )


def break_it(checkout: Path) -> None:
    (checkout / "collectors.d" / "bad.yaml").write_text(
        COLLECTOR.replace("imap\n", "imap4\n").replace("sales", "trade")
    )


def test_gitlab_s_commands(checkout: Path) -> None:
    job = block(".gitlab-ci.yml")["validate collectors"]
    for code in (0, 1):
        assert [run(line, checkout).returncode for line in job["script"]] == [code]
        assert {run(line, checkout).returncode for line in job["after_script"]} == {0}
        quality = json.loads((checkout / job["artifacts"]["reports"]["codequality"]).read_text())
        assert [(one["severity"], one["location"]["path"]) for one in quality] == code * [
            ("major", "collectors.d/bad.yaml")
        ]
        suites = ET.parse(checkout / job["artifacts"]["reports"]["junit"]).getroot()
        assert suites.get("failures") == str(code)
        break_it(checkout)


def test_the_action_s_commands(checkout: Path) -> None:
    step = YAML(typ="safe").load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"][-1]
    used = block(".github/workflows/collectors.yaml")["jobs"]["validate"]["steps"][-1]["with"]
    assert step["env"].keys() == {name.upper() for name in used}
    variables = {name.upper(): value for name, value in used.items()}
    assert run(step["run"], checkout, **variables).returncode == 0
    break_it(checkout)
    done = run(step["run"], checkout, **variables)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (1, "::error")
    assert len(json.loads((checkout / used["sarif"]).read_text())["runs"][0]["results"]) == 1
    assert run(step["run"], checkout, PATHS="nowhere", SARIF="x").returncode != 0


def test_the_hook_s_command(checkout: Path) -> None:
    (hook,) = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    (used,) = block(".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert used["id"] == hook["id"]
    assert run(" ".join([hook["entry"], *hook["args"]]), checkout).returncode == 0
    break_it(checkout)
    assert run(" ".join([hook["entry"], *used["args"]]), checkout).returncode == 1


def test_the_other_commands(checkout: Path) -> None:
    commands = [
        line[2:] for language, text in BLOCKS if language == "console" for line in text.splitlines()
    ]
    assert len(commands) == 3
    assert [run(line, checkout).returncode for line in commands] == [0, 0, 0]


def test_formats_are_those_of_the_command() -> None:
    told = re.findall(r"`(\w+)`", PAGE[PAGE.index("`--output` takes") :].partition("\n\n")[0])
    assert told == list(REPORTERS)
