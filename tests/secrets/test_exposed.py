"""What others may read or write is warned of, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.control.state_ownership import owned
from reconciler.model.spec import SecretRef
from reconciler.secrets import read_secret
from tests.captured_logs import capture_logs


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)])
def test_a_secret_that_everybody_may_read_is_warned_of_once(
    mode: int, warned: int, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("hunter2")
    path.chmod(mode)
    with capture_logs() as logged:
        assert [read_secret(SecretRef(file=str(path))).reveal() for _ in range(2)] == [
            "hunter2"
        ] * 2
    assert len(logged) == warned
    assert "hunter2" not in str(logged)


@pytest.mark.parametrize(
    ("mode", "owner", "warned"),
    [
        (0o700, None, 0),
        (0o755, None, 0),
        (0o770, None, 1),
        (0o707, None, 1),
        (0o700, 12345, 1),
    ],
)
def test_a_state_directory_of_others_is_warned_of(
    mode: int, owner: int | None, warned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    if owner is not None:
        if os.geteuid() == 0:
            os.chown(state, owner, -1)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: owner)
    with capture_logs() as logged, owned(state):
        pass
    assert len(logged) == warned
