from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.ledger import SqlLedger, open_ledger
from tests.ledger.samples import NOW, declare


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/ledger.sqlite3"


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    """A ledger that knows the collector `sales`."""
    opened = open_ledger(url)
    declare(opened, "sales", "digest", "new-keep", NOW)
    yield opened
    opened.close()
