"""What follows from a few changed collectors alone, and where everything must be looked at anew."""

from __future__ import annotations

import pytest

from reconciler.planning.desired_state import desire
from reconciler.planning.incremental import changed_collectors, desire_incrementally
from reconciler.planning.observed_manifests import Declaration
from tests.planning.build import collector, destination, observed, remembered

A, B, LOCAL = collector("a"), collector("b"), destination("local")
CHANGED = collector("b", title="Another")


def test_a_changed_collector_gives_what_looking_at_everything_gives() -> None:
    before, now = observed(A, B), observed(A, CHANGED)
    desired = desire(before, {})
    changed = changed_collectors(before, now)
    assert changed == [CHANGED]
    assert desire_incrementally(desired, now, changed) == desire(now, desired.good)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param((A, destination("local", lmtp={"socket": "s"})), id="a destination changed"),
        pytest.param((LOCAL, A), id="another order"),
        pytest.param((B, LOCAL), id="another name"),
        pytest.param((A, LOCAL, B), id="one more"),
    ],
)
def test_anything_but_changed_collectors_is_looked_at_with_all(
    now: tuple[Declaration, ...],
) -> None:
    assert changed_collectors(observed(A, LOCAL), observed(*now)) is None


def test_a_collector_is_moved_to_its_other_destination() -> None:
    both = destination("one"), destination("two", maildir={"path": "elsewhere/{local}"})
    moved = collector("b", destination="two")
    desired = desire(observed(collector("b", destination="one"), *both), {})
    found = desire_incrementally(desired, observed(moved, *both), [moved])
    assert found is not None
    assert found.collectors["b"].destination == both[1].effective.spec


@pytest.mark.parametrize(
    ("declared", "known"),
    [
        pytest.param([collector("new"), B], [collector("old"), B], id="a new one beside one gone"),
        pytest.param([A, B], [A, B, LOCAL], id="a destination is gone"),
        pytest.param(
            [A, collector("b", destination="local")],
            [A, collector("b", destination="local"), LOCAL],
            id="a destination is gone that was still needed",
        ),
    ],
)
def test_nothing_is_missed_while_somebody_leaves(
    declared: list[Declaration], known: list[Declaration]
) -> None:
    desired = desire(observed(*declared), remembered(*known))
    found = desire_incrementally(desired, observed(declared[0], CHANGED), [CHANGED])
    whole = desire(observed(declared[0], CHANGED), desired.good)
    assert found is None or found == whole


def test_while_a_rename_is_told_of_everything_is_looked_at() -> None:
    old, new = (collector(name, source=A.manifest.spec.source) for name in ("old", "new"))  # type: ignore[union-attr]
    desired = desire(observed(new, B), remembered(old, B))
    assert desired.renames
    assert desire_incrementally(desired, observed(new, CHANGED), [CHANGED]) is None


def test_while_a_rerouting_is_held_everything_is_looked_at() -> None:
    old, new = (destination("d", default=True, maildir={"path": path}) for path in ("/o", "/n"))
    desired = desire(observed(A, B, new), desire(observed(A, B, old), {}).good)
    assert desired.rerouting
    assert desire_incrementally(desired, observed(A, CHANGED, new), [CHANGED]) is None


def test_a_collector_that_cannot_run_or_is_new_is_looked_at_with_all() -> None:
    desired = desire(observed(A, B), {})
    for one in (collector("c"), collector("b", destination="nowhere")):
        assert desire_incrementally(desired, observed(A, one), [one]) is None
