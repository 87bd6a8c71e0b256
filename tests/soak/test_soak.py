"""A minute of `make soak`."""

from __future__ import annotations

from tests.soak.soak import Soak, table


def test_D13_D1_a_minute_of_faults_loses_and_doubles_nothing() -> None:
    result = Soak(60, seed=20, fault_every=1).run()

    assert result.clean, "\n".join(table(result, 60))
    assert result.sent > 300
    assert {"cut", "kill", "full", "restart", "recreate"} <= result.struck.keys()
