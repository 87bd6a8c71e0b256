"""The shortest `make soak`: each kind of fault once."""

from __future__ import annotations

import pytest

from tests.soak.faults import WEIGHTS
from tests.soak.soak import Soak, table


@pytest.mark.timeout(600)  # longer than its own patience, and what comes before and after that
def test_D13_D1_each_kind_of_fault_loses_and_doubles_nothing() -> None:
    result = Soak(0, seed=20, mailboxes=12, fault_every=0.4, patience=150).run()

    assert result.clean, "\n".join(table(result, 0))
    assert result.soon is not None, "\n".join(table(result, 0))
    assert result.sent > 50
    assert result.struck.keys() == WEIGHTS.keys()
    assert result.edits
