"""One owner of a state directory at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.control.state_ownership import StateOwned, owned


def test_R7_the_second_process_refuses_and_names_the_first(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with owned(state):
        assert state.stat().st_mode & 0o777 == 0o700
        with pytest.raises(StateOwned, match=str(os.getpid())), owned(state):
            pass
    with owned(state):
        pass


def test_R7_a_killed_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from reconciler.control.state_ownership import owned\n"
        "with owned(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(StateOwned, match=str(other.pid)), owned(tmp_path):
            pass
        other.kill()
        other.wait()
        with owned(tmp_path):
            pass


def test_a_state_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateOwned, match="--state-dir"), owned(tmp_path / "file" / "state"):
        pass
