"""What follows from a few changed collectors alone, and where everything must be looked at anew."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, desire
from reconciler.planning.incremental import (
    ManifestDifference,
    desire_incrementally,
    desired_near,
    difference,
)
from reconciler.planning.observed_manifests import Declaration, Key, ObservedManifests
from reconciler.planning.reconcile_plan import Plan, Step, plan, plan_some
from tests.planning.build import broken, collector, destination, observed, remembered

A, B, LOCAL = collector("a"), collector("b"), destination("local")
DEFAULT = destination("local", default=True, maildir={"path": "mail/{local}"})
OTHER = destination("other", default=True, maildir={"path": "other/{local}"})
CHANGED = collector("b", title="Another")


def test_a_changed_collector_gives_what_looking_at_everything_gives() -> None:
    before, now = observed(A, B), observed(A, CHANGED)
    desired = desire(before, {})
    found = difference(before, now, desired.good)
    assert found == ManifestDifference((CHANGED,))
    assert desire_incrementally(desired, now, found) == desire(now, desired.good)


def test_a_new_collector_and_one_that_is_gone_concern_no_other_one() -> None:
    new = collector("c")
    before, more, less = observed(A, B), observed(A, new, B), observed(A, new)
    desired = desire(before, {})
    came = difference(before, more, desired.good)
    assert came == ManifestDifference((new,))
    with_it = desire_incrementally(desired, more, came)
    assert with_it == desire(more, desired.good)
    assert with_it is not None
    assert plan_some(with_it, desired.collectors, ["c"]).changes == changes(with_it, desired)
    went = difference(more, less, with_it.good)
    assert went == ManifestDifference((), ("b",))
    without = desire_incrementally(with_it, less, went)
    assert without == desire(less, with_it.good)
    assert without is not None
    assert plan_some(without, with_it.collectors, ["b"]).changes == changes(without, with_it)


def changes(after: Desired, before: Desired) -> tuple[Step, ...]:
    return plan(after, before.collectors).changes


def test_what_leaves_stays_until_it_is_gone_or_somebody_confirms_it() -> None:
    desired, leaving = desire(observed(A, B), {}), frozenset({B.key})
    for now in (
        observed(A, leaving=leaving, removed=frozenset({"b"})),
        observed(A, removed=frozenset({"b"})),
    ):
        assert difference(observed(A, B), now, desired.good) == ManifestDifference((), ("b",))
    goes = observed(A, leaving=leaving)
    assert difference(observed(A, B), goes, desired.good) == ManifestDifference()
    assert difference(goes, observed(A), desired.good) == ManifestDifference((), ("b",))
    assert difference(goes, observed(A, B), desired.good) == ManifestDifference((B,))


@pytest.mark.parametrize(
    "now",
    [
        pytest.param((A, destination("local", lmtp={"socket": "s"})), id="a destination changed"),
        pytest.param((A,), id="a destination is gone"),
        pytest.param((A, LOCAL, destination("more")), id="one more destination"),
    ],
)
def test_anything_but_changed_collectors_is_looked_at_with_all(
    now: tuple[Declaration, ...],
) -> None:
    before = observed(A, LOCAL)
    assert difference(before, observed(*now), desire(before, {}).good) is None


def test_a_collector_is_moved_to_its_other_destination() -> None:
    both = destination("one"), destination("two", maildir={"path": "elsewhere/{local}"})
    moved = collector("b", destination="two")
    desired = desire(observed(collector("b", destination="one"), *both), {})
    found = desire_incrementally(desired, observed(moved, *both), only(moved))
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
    found = desire_incrementally(desired, observed(declared[0], CHANGED), only(CHANGED))
    whole = desire(observed(declared[0], CHANGED), desired.good)
    assert found is None or found == whole


def test_while_a_rename_is_told_of_everything_is_looked_at() -> None:
    old, new = (collector(name, source=A.manifest.spec.source) for name in ("old", "new"))  # type: ignore[union-attr]
    desired = desire(observed(new, B), remembered(old, B))
    assert desired.renames
    assert desire_incrementally(desired, observed(new, CHANGED), only(CHANGED)) is None


def test_while_a_rerouting_is_held_everything_is_looked_at() -> None:
    old, new = (destination("d", default=True, maildir={"path": path}) for path in ("/o", "/n"))
    desired = desire(observed(A, B, new), desire(observed(A, B, old), {}).good)
    assert desired.rerouting
    assert desire_incrementally(desired, observed(A, CHANGED, new), only(CHANGED)) is None


def test_a_collector_that_cannot_run_is_looked_at_with_all() -> None:
    desired, lost = desire(observed(A, B), {}), collector("b", destination="nowhere")
    assert desire_incrementally(desired, observed(A, lost), only(lost)) is None


def only(one: Declaration) -> ManifestDifference:
    return ManifestDifference((one,))


@cache
def account(name: str, user: str, title: str) -> Declaration:
    source = {"protocol": "imap", "host": "h", "username": user, "password": {"file": "s"}}
    return collector(name, source=source, title=title, recipient={"forwardTo": "x@y.example"})


COLLECTORS = st.dictionaries(
    st.sampled_from("abc"),
    st.tuples(st.sampled_from("uvw"), st.sampled_from("ST")),
    max_size=3,
)
LOOKS = st.builds(
    lambda declared, bad, leaving, removed, more: (declared, bad, leaving, removed, more),
    COLLECTORS,
    st.sampled_from(("",) * 6 + ("a", "file", "vanished", "confirmed")),
    st.frozensets(st.sampled_from("abc"), max_size=1),
    st.frozensets(st.sampled_from("abc"), max_size=1),
    st.sampled_from((None, DEFAULT, OTHER)),
)
Look = tuple[dict[str, tuple[str, str]], str, frozenset[str], frozenset[str], Declaration | None]


def look_of(look: Look) -> ObservedManifests:
    declared, bad, leaving, removed, more = look
    found = [account(name, *rest) for name, rest in sorted(declared.items())]
    keys: set[Key] = {("MailCollector", name) for name in leaving - declared.keys()}
    seen = observed(*found, *([more] if more else []), leaving=frozenset(keys), removed=removed)
    if bad == "a" and "a" not in declared:
        return replace(seen, broken=(broken("a"),))
    if bad == "file":
        return replace(seen, unreadable={A.file: "no"})
    if bad == "vanished":
        return ObservedManifests(vanished="away")
    return replace(seen, empty_confirmed=bad == "confirmed")


@given(st.lists(LOOKS, min_size=2, max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_is_seen_one_after_the_other_a_few_decide_as_all_do(looks: list[Look]) -> None:
    seen = look_of(looks[0])
    desired = desire(seen, {})
    for look in looks[1:]:
        now = look_of(look)
        whole = desire(now, desired.good, desired.collectors)
        found = difference(seen, now, desired.good)
        few = desire_incrementally(desired, now, found) if found else None
        if few is not None and found is not None:
            assert few == whole
            names = {*found.gone, *(one.name for one in found.changed)}
            some: Plan = plan_some(few, desired.collectors, names)
            assert some.changes == changes(whole, desired)
        seen, desired = now, whole


GONE = collector("gone")
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
