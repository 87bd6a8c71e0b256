"""What `scripts/trixie short` runs: something of every kind, and it is there."""

from __future__ import annotations

import re

from tests.project import ROOT

LISTED = re.findall(
    r"^short='\n(.*?)^'",
    (ROOT / "scripts" / "trixie").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)[0].split()
LEFT_OUT = {"attacks", "crashes", "soak", "editors"}
"""Walks of several minutes, and programs of others to which the Python does not matter."""


def test_every_file_is_there() -> None:
    assert [path for path in LISTED if not (ROOT / path).exists()] == []


def test_every_folder_has_its_part() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert {path.split("/")[1] for path in LISTED} == folders - LEFT_OUT
