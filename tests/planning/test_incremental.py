"""What follows from a few changed collectors alone, and where everything must be looked at anew."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, desire
from reconciler.planning.incremental import (
    changed_collectors,
    desire_incrementally,
    desired_near,
)
from reconciler.planning.observed_manifests import Declaration, ObservedManifests
from reconciler.planning.reconcile_plan import Step, plan
from tests.planning.build import broken, collector, destination, observed, remembered

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


GONE = collector("gone")
DEFAULT = destination("local", default=True, maildir={"path": "mail/{local}"})
RENAMED = collector(
    "new", source=GONE.manifest.spec.model_dump(by_alias=True, exclude_unset=True)["source"]
)


@pytest.mark.parametrize(
    ("name", "near", "others"),
    [
        pytest.param("b", observed(CHANGED, DEFAULT), [A], id="changed"),
        pytest.param("c", observed(collector("c"), DEFAULT), [A, B], id="one more"),
        pytest.param("b", observed(DEFAULT, removed=frozenset({"b"})), [A], id="one less"),
        pytest.param("b", observed(DEFAULT, broken=(broken("b"),)), [A], id="broken"),
        pytest.param(
            "new", observed(RENAMED, DEFAULT), [A, B], id="the account of one that is gone"
        ),
        pytest.param("b", observed(collector("b", destination="x"), DEFAULT), [A], id="nowhere"),
    ],
)
def test_what_is_near_decides_as_everything_does(
    name: str, near: ObservedManifests, others: list[Declaration]
) -> None:
    declared = observed(A, B, DEFAULT)
    good = remembered(A, B, DEFAULT, *([GONE] if name == "new" else []))
    before = desire(declared, good)
    before = replace(before, good=good)
    keys = {one.key for one in declared.declarations}
    running = dict(before.collectors)

    def step(known: Desired, seen: ObservedManifests) -> list[Step]:
        after = desire(seen, known.good, known.collectors)
        return [one for one in plan(after, running).steps if one.name == name]

    few = desired_near(before, near, name, keys.__contains__)
    everything = replace(near, declarations=(*others, *near.declarations))
    assert step(few, near) == step(before, everything) != []
    assert "a" not in few.collectors
