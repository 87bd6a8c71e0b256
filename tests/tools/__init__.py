"""Where scripts/test-tools put the programs that tests run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TOOLS = ROOT / ".tools"
NODE, MODULES, PYTHON = (
    _TOOLS / "bin" / "node",
    _TOOLS / "node_modules",
    _TOOLS / "python" / "bin" / "python",
)
SERVER = [
    str(NODE),
    str(MODULES / "yaml-language-server" / "bin" / "yaml-language-server"),
    "--stdio",
]


def require() -> None:
    if not (_TOOLS / "made-from").exists():
        pytest.fail("tools of the tests are not installed: scripts/test-tools does that")


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    require()
    return subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
