from __future__ import annotations

from pathlib import Path

import pytest

from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot


@pytest.fixture
def deployment(tmp_path: Path, dovecot: Dovecot) -> Deployment:
    return Deployment(tmp_path / "deployment", dovecot)
