"""The manifests and the settings of the daemons of these tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.model.settings import Settings
from tests.control.manifests import save, text

TWO: Mapping[str, str] = {
    "sales": text("sales", title="Почта").replace(
        "{name: sales}", "{name: sales, labels: {team: x}}"
    ),
    "off": text("off", enabled="false"),
}
"""Manifests by name, for a module that has no `MANIFESTS` of its own."""


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    manifests: Mapping[str, str] = getattr(request.module, "MANIFESTS", TWO)
    for name, content in manifests.items():
        save(root, name, content)
    return root


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    state.mkdir()
    return Settings(state, "")
