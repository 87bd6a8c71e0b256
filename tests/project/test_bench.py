"""`make bench` in a small form: that it runs, never how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.project import ROOT

SMALL = [
    "--messages",
    "12",
    "--runs",
    "1",
    "--protocols",
    "imap,pop3s",
    "--peers",
    "",
    "--collectors",
    "10",
    "--interval",
    "5",
    "--minutes",
    "0.1",
]


def measured(place: Path, cases: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench",
            *SMALL,
            "--cases",
            cases,
            "--out",
            str(place / "out"),
            "--temp",
            str(place),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads((place / "out.json").read_text())
    return found


def test_the_benchmark_runs_every_case_beside_the_floors(tmp_path: Path) -> None:
    found = measured(tmp_path, "collect,far,poll,memory")
    assert {row["program"] for row in found} == {
        "floor, no fsync",
        "floor, each fsynced",
        "floor, fsync in batches",
        "mailcollector run --once",
        "mailcollector, a session",
    }
    assert len({row["case"] for row in found}) == 8
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")


def test_the_benchmark_runs_many_collectors(tmp_path: Path) -> None:
    found = measured(tmp_path, "start,change,idle,many")
    assert len({row["case"] for row in found}) == 5
    figures = {row["figure"]: row["value"] for row in found}
    assert figures["connections missing"] == 0
    assert figures["sessions that failed, ever"] == 0
    assert figures["messages not delivered once"] == 0
    assert figures["sessions"] >= 10
