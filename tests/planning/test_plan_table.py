"""What follows from what is seen is in `plan_table.txt`, and a short way leads there, too."""

from __future__ import annotations

import pytest

from reconciler.planning.desired_state import desire
from reconciler.planning.incremental import desire_incrementally, difference
from tests.planning.build import observed
from tests.planning.plan_table import BEFORE, SEEN, TABLE, lines

KEPT = TABLE.read_text().splitlines()


def of(before: str) -> list[str]:
    starts = [number for number, line in enumerate(KEPT) if line.startswith("== ")]
    found: list[str] = []
    for start, end in zip(starts, [*starts[1:], len(KEPT)], strict=True):
        if KEPT[start].startswith(f"== {before} → "):
            found += KEPT[start:end]
    return found


@pytest.mark.parametrize("before", BEFORE)
def test_what_follows_is_as_in_the_table(before: str) -> None:
    """`python -m tests.planning.plan_table` writes the table anew."""
    assert list(lines(before)) == of(before)


def test_the_table_has_nothing_else() -> None:
    assert len(KEPT) == sum(len(of(before)) for before in BEFORE)


@pytest.mark.parametrize("before", [name for name, those in BEFORE.items() if those])
def test_a_few_changed_collectors_decide_as_everything_does(before: str) -> None:
    start = observed(*BEFORE[before])
    desired = desire(start, {})
    for name, seen in SEEN.items():
        changed = difference(start, seen, desired.good)
        few = None if changed is None else desire_incrementally(desired, seen, changed)
        assert few is None or few == desire(seen, desired.good, desired.collectors), name
