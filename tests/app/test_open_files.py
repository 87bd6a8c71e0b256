"""How many files the process may open (hazard R1)."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.app.open_files import FEW, FEWEST, TooFewFiles, raise_file_limit
from tests.captured_logs import capture_logs


@pytest.mark.parametrize(
    ("most", "warned"),
    [(FEWEST, 1), (FEW - 1, 1), (FEW, 0), (1 << 20, 0), (resource.RLIM_INFINITY, 0)],
)
def test_R1_the_limit_is_raised_first(
    monkeypatch: pytest.MonkeyPatch, most: int, warned: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (12, most))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: asked.append(both))
    with capture_logs() as logs:
        raise_file_limit()
    assert asked == [(most, most)]
    assert len(logs) == warned


def test_R1_below_the_fewest_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (12, FEWEST - 1))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(TooFewFiles, match=r"only 23 files may be open .* needs at least 24"):
        raise_file_limit()


def test_R1_the_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "collectors.d").mkdir()
    script = (
        "import resource, sys; from reconciler.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\n"
        "sys.argv = ['mailcollector', 'run', '--allow-empty']; main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 2
    assert "only 16 files may be open at once" in found.stderr
    assert not (tmp_path / "state").exists()
