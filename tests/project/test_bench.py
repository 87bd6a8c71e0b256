"""`make bench` in a small form: that it runs, never how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.project import ROOT


def test_the_benchmark_runs_every_case_beside_the_floors(tmp_path: Path) -> None:
    options = ["--messages", "12", "--runs", "1", "--protocols", "imap,pop3s", "--peers", ""]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options, "--out", str(tmp_path / "out"), "--temp", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads((tmp_path / "out.json").read_text())
    assert {row["program"] for row in measured} == {
        "floor, no fsync", "floor, each fsynced", "floor, fsync in batches", "mailcollector run --once",
        "mailcollector, a session"}
    assert len({row["case"] for row in measured}) == 8
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")
