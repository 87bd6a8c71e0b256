"""When the next session starts."""

from __future__ import annotations

import pytest

from reconciler.collect.cadence import AT_ONCE, first_delay, next_start


@pytest.mark.parametrize(
    ("now", "retry_in", "expected"),
    [
        pytest.param(110.0, None, 400.0, id="from start to start"),
        pytest.param(450.0, None, 450.0, id="a session longer than the interval"),
        pytest.param(110.0, 7.0, 117.0, id="a back-off"),
        pytest.param(110.0, -7.0, 110.0, id="a back-off that is over"),
    ],
)
def test_next_start(now: float, retry_in: float | None, expected: float) -> None:
    assert next_start(100.0, 300.0, now, retry_in) == expected


def test_few_start_at_once_and_many_are_spread_by_name() -> None:
    assert first_delay("a", 300.0, AT_ONCE) == 0.0
    delays = [first_delay(f"c{number}", 300.0, 1000) for number in range(1000)]
    assert delays == [first_delay(f"c{number}", 300.0, 1000) for number in range(1000)]
    assert max(sum(second <= delay < second + 1 for delay in delays) for second in range(50)) < 40
    assert 49 < max(delays) < 50


def test_a_spread_never_exceeds_an_interval() -> None:
    assert max(first_delay(f"c{number}", 5.0, 10_000) for number in range(500)) < 5.0
