"""What shall run, by tables: what was good, what is seen, what follows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.model.spec import MergedCollector
from reconciler.planning.desired_state import Desired, Origin, desire
from reconciler.planning.incremental import ManifestDifference, difference
from reconciler.planning.observed_manifests import Declaration, ObservedManifests, declare
from tests.planning.build import BASE, broken, collector, destination, observed, remembered

A, B, C = collector("a"), collector("b"), collector("c")


def problems(desired: Desired) -> dict[str, str | None]:
    """Each collector, and why it is not in order."""
    found = {
        name: one.problem.reason if one.problem else None
        for name, one in desired.collectors.items()
    }
    return found | {
        name: f"never good: {one.problem.reason}" for name, one in desired.invalid.items()
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(observed(A, B), {"a": None, "b": None}, id="all well"),
        pytest.param(observed(A), {"a": None}, id="one removed"),
        pytest.param(
            observed(A, broken=(broken("b"),)), {"a": None, "b": "InvalidManifest"}, id="one broken"
        ),
        pytest.param(
            observed(B, unreadable={f"{BASE}/a.yaml": "a.yaml: permission denied"}),
            {"a": "ManifestUnreadable", "b": None},
            id="Y12 unreadable is not deleted",
        ),
        pytest.param(
            observed(unreadable={BASE: "permission denied"}),
            {"a": "ManifestUnreadable", "b": "ManifestUnreadable"},
            id="Y12 unreadable directory",
        ),
        pytest.param(
            observed(B, unclear={f"{BASE}/a.yaml": "a.yaml:2:1: tab"}),
            {"a": "InvalidManifest", "b": None},
            id="Y14 half-written",
        ),
        pytest.param(
            observed(A, B, broken=(broken("c"),)),
            {"a": None, "b": None, "c": "never good: InvalidManifest"},
            id="first seen bad",
        ),
        pytest.param(
            ObservedManifests(vanished="no such directory"),
            {"a": "DirectoryVanished", "b": "DirectoryVanished"},
            id="Y17 directory vanished",
        ),
        pytest.param(observed(), {"a": "Held", "b": "Held"}, id="two vanish and none is left"),
        pytest.param(observed(empty_confirmed=True), {}, id="two vanish and that is confirmed"),
        pytest.param(observed(C), {"c": None}, id="two vanish and another one is left"),
        pytest.param(
            observed(broken=(broken("c"),)),
            {"c": "never good: InvalidManifest"},
            id="two vanish and a bad one is left",
        ),
    ],
)
def test_what_shall_run_where_two_were_good(
    seen: ObservedManifests, expected: dict[str, str | None]
) -> None:
    assert problems(desire(seen, remembered(A, B))) == expected


def test_removing_the_last_one_is_meant() -> None:
    assert problems(desire(observed(), remembered(A))) == {}


def test_Y13_a_name_in_two_files_keeps_the_last_good_one() -> None:
    changed = collector("a", collect={"interval": "1h"})
    seen = observed(B, broken=(broken("a"), broken("a")))
    desired = desire(seen, remembered(changed, B))
    assert desired.collectors["a"].spec == changed.manifest.spec
    assert problems(desired) == {"a": "InvalidManifest", "b": None}


def test_a_broken_one_runs_its_last_good_spec_and_stays_remembered() -> None:
    desired = desire(observed(broken=(broken("a"),)), remembered(A))
    assert desired.collectors["a"].spec == A.manifest.spec
    assert desired.good == {A.key: A}
    assert "mend this" in str(desired.collectors["a"].problem)


def test_what_is_first_seen_bad_or_gone_is_not_remembered() -> None:
    assert desire(observed(A, broken=(broken("c"),)), remembered(A, B)).good == {A.key: A}


def test_paths_are_absolute_in_the_effective_spec_only() -> None:
    found = desire(observed(A), {}).collectors["a"]
    assert found.spec.source.password is not None
    assert found.effective.source.password is not None
    assert found.spec.source.password.file == "secret"
    assert found.effective.source.password.file == f"{BASE}/secret"


# -- destinations

LOCAL, DEFAULT = (
    destination("local"),
    destination("main", default=True, maildir={"path": "/var/mail"}),
)
TO_LOCAL = collector("a", destination="local")


def default(name: str, path: str) -> Declaration:
    return destination(name, default=True, maildir={"path": path})


def test_without_any_destination_the_built_in_one_is_used() -> None:
    found = desire(observed(A), {}).collectors["a"]
    assert (found.destination_name, found.destination) == (None, None)


def test_a_named_destination_else_the_default() -> None:
    found = desire(observed(TO_LOCAL, B, LOCAL, DEFAULT), {}).collectors
    assert (found["a"].destination_name, found["b"].destination_name) == ("local", "main")
    assert found["a"].destination is not None
    assert found["a"].destination.maildir is not None
    assert found["a"].destination.maildir.path == f"{BASE}/mail/{{local}}"


def test_a_changed_destination_changes_the_effective_digest_only() -> None:
    before = desire(observed(TO_LOCAL, LOCAL), {}).collectors["a"]
    after = desire(
        observed(TO_LOCAL, destination("local", maildir={"path": "/elsewhere"})), {}
    ).collectors["a"]
    assert before.digest == after.digest
    assert before.effective_digest != after.effective_digest


@pytest.mark.parametrize(
    ("declarations", "words"),
    [
        pytest.param((TO_LOCAL,), "declares the destination 'local'", id="it is missing"),
        pytest.param((A, LOCAL), "it names no destination", id="none is the default"),
    ],
)
def test_a_collector_without_a_destination_does_not_run(
    declarations: tuple[Declaration, ...], words: str
) -> None:
    desired = desire(ObservedManifests(declarations), {})
    assert problems(desired) == {"a": "never good: InvalidManifest"}
    assert words in desired.invalid["a"].problem.message


def test_a_broken_destination_keeps_its_last_good_version() -> None:
    desired = desire(
        observed(TO_LOCAL, broken=(broken("local", "Destination"),)), remembered(TO_LOCAL, LOCAL)
    )
    assert desired.collectors["a"].destination_name == "local"
    assert problems(desired) == {"a": None}


def test_a_removed_destination_stays_while_a_collector_names_it() -> None:
    desired = desire(observed(TO_LOCAL), remembered(TO_LOCAL, LOCAL))
    assert desired.collectors["a"].destination_name == "local"
    assert problems(desired) == {"a": "InvalidManifest"}
    assert "no manifest declares the destination 'local'" in str(desired.collectors["a"].problem)
    assert LOCAL.key in desired.good
    assert desire(observed(A), remembered(A, LOCAL)).good == {A.key: A}


def test_a_destination_that_was_removed_is_told_of_where_all_else_stayed() -> None:
    before = desire(observed(TO_LOCAL, LOCAL), {})
    after = desire(observed(TO_LOCAL), before.good, before.collectors)
    assert problems(after) == {"a": "InvalidManifest"}


def test_what_is_broken_comes_before_a_destination_that_is_gone() -> None:
    desired = desire(observed(broken=(broken("a"),)), remembered(TO_LOCAL, LOCAL))
    assert "mend this" in str(desired.collectors["a"].problem)


def test_where_no_destination_is_the_default_any_longer_nothing_runs_without_one() -> None:
    known = desire(observed(A, B, default("d", "/mail")), {}).good
    desired = desire(observed(A, B, destination("d", maildir={"path": "/mail"})), known)
    assert not desired.rerouting
    assert problems(desired) == dict.fromkeys("ab", "never good: InvalidManifest")


def test_held_collectors_keep_their_destination() -> None:
    desired = desire(observed(), remembered(TO_LOCAL, collector("b", destination="local"), LOCAL))
    assert {one.destination_name for one in desired.collectors.values()} == {"local"}


def test_what_somebody_removed_is_not_leaving() -> None:
    leaving = frozenset({("MailCollector", "a")})
    known = remembered(collector("a"), collector("b"))
    assert set(desire(observed(collector("b"), leaving=leaving), known).collectors) == {"a", "b"}
    seen = observed(collector("b"), leaving=leaving, removed=frozenset({"a"}))
    assert set(desire(seen, known).collectors) == {"b"}
    assert difference(seen, seen, known) == ManifestDifference((), ("a",))


def test_what_is_leaving_and_declared_elsewhere_counts_as_declared() -> None:
    """Its file was renamed, say."""
    leaving = frozenset({("MailCollector", "a"), ("Destination", "local"), ("MailCollector", "x")})
    moved = collector("a", f"{BASE}/other.yaml", destination="local")
    to = destination("local", f"{BASE}/more.yaml", maildir={"path": "/new"})
    desired = desire(observed(moved, to, leaving=leaving), remembered(TO_LOCAL, LOCAL))
    assert set(desired.collectors) == {"a"}
    assert desired.collectors["a"].file == f"{BASE}/other.yaml"
    assert desired.collectors["a"].destination == to.effective.spec


def test_what_is_declared_elsewhere_is_not_held_back_by_its_old_file() -> None:
    moved = collector("a", f"{BASE}/other.yaml")
    seen = observed(moved, B, unreadable={f"{BASE}/a.yaml": "a.yaml: permission denied"})
    desired = desire(seen, remembered(A, B))
    assert desired.collectors["a"].file == f"{BASE}/other.yaml"
    assert problems(desired) == {"a": None, "b": None}


def test_a_broken_manifest_of_another_kind_says_nothing_of_a_collector() -> None:
    """Nor does one beside a valid manifest of the same name."""
    known = remembered(collector("local"), A, B)
    seen = observed(B, broken=(broken("local", "Destination"), broken("b")))
    assert problems(desire(seen, known)) == {"b": None}


def test_a_changed_destination_is_another_collector() -> None:
    sales = collector("sales", destination="local")
    before = desire(observed(sales, destination("local")), {})
    moved = destination("local", maildir={"path": "elsewhere/{local}"})
    after = desire(observed(sales, moved), before.good, before.collectors)
    assert after.collectors["sales"].destination == moved.effective.spec
    assert after.collectors["sales"].effective_digest != before.collectors["sales"].effective_digest


def test_a_broken_collector_whose_mail_is_not_rerouted_says_what_is_broken() -> None:
    known = remembered(A, B, default("d", "/old"))
    desired = desire(observed(B, default("d", "/new"), broken=(broken("a"),)), known)
    assert desired.rerouting
    assert problems(desired) == {"a": "InvalidManifest", "b": "Held"}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        pytest.param((A, DEFAULT), (A, B, DEFAULT), False, id="nothing"),
        pytest.param((A, DEFAULT), (A, default("main", "/elsewhere")), True, id="its destination"),
        pytest.param(
            (A, DEFAULT), (A, default("new", "/var/mail")), True, id="another destination"
        ),
    ],
)
def test_a_collector_is_the_same_object_as_long_as_nothing_changed(
    before: tuple[Declaration, ...], after: tuple[Declaration, ...], changed: bool
) -> None:
    first = desire(observed(*before), {})
    found = desire(observed(*after), first.good, first.collectors)
    assert (found.collectors["a"] is not first.collectors["a"]) is changed


def test_a_collector_is_made_anew_where_its_problem_or_its_file_changes() -> None:
    x, to_x = destination("x"), collector("a", destination="x")
    seen = [
        observed(to_x, x),
        observed(to_x, x, broken=(broken("b"),)),
        observed(replace(to_x, file=f"{BASE}/other.yaml"), x),
        observed(to_x),
        observed(to_x, x),
        observed(x, broken=(broken("a"),)),
        observed(to_x, x),
    ]
    desired = desire(seen[0], {})
    told = []
    for each in seen:
        before, desired = desired, desire(each, desired.good, desired.collectors)
        one = desired.collectors["a"]
        problem = one.problem.message if one.problem else ""
        told.append((one is before.collectors["a"], one.source, problem))
    of_a = f"{BASE}/a.yaml"
    gone = (
        f"{of_a}:1: no manifest declares the destination 'x'; the last good one, 'x', stays in use"
    )
    assert told == [
        (True, f"{of_a}:1", ""),
        (True, f"{of_a}:1", ""),
        (False, f"{BASE}/other.yaml:1", ""),
        (False, f"{of_a}:1", gone),
        (False, f"{of_a}:1", ""),
        (False, f"{of_a}:1", f"{of_a}:3:1: mend this"),
        (False, f"{of_a}:1", ""),
    ]


def test_one_file_below_two_directories_is_two_specs() -> None:
    """A relative path means another file there."""
    here = declare(A.manifest, A.file, 1, BASE)
    there = declare(A.manifest, A.file, 1, "/elsewhere")
    before, after = desire(observed(here), {}), desire(observed(there), {})
    assert before.collectors["a"].digest == after.collectors["a"].digest
    assert before.collectors["a"].effective_digest != after.collectors["a"].effective_digest
    assert desire(observed(there), before.good, before.collectors).collectors == after.collectors


def test_a_name_that_is_valid_in_one_file_and_broken_in_another_runs() -> None:
    assert problems(desire(observed(A, broken=(broken("a"),)), {})) == {"a": None}


def test_collectors_that_had_no_destination_are_not_rerouted_to_the_first_default() -> None:
    known = desire(observed(A, B, LOCAL), {}).good
    desired = desire(observed(A, B, default("local", "/var/mail")), known)
    assert problems(desired) == {"a": None, "b": None}


def test_a_collector_that_named_its_destination_until_now_is_not_rerouted() -> None:
    old, new = (default("main", path) for path in ("/old", "/new"))
    known = desire(observed(collector("a", destination="main"), B, old), {}).good
    assert not desire(observed(A, B, new), known).rerouting
    assert desire(observed(A, B, new), desire(observed(A, B, old), {}).good).rerouting


def test_a_collector_says_which_template_it_was_merged_from() -> None:
    assert desire(observed(A), {}).collectors["a"].origin is None
    merged = MergedCollector.model_validate(
        {
            **A.manifest.declared(),
            "spec": {**A.manifest.declared()["spec"], "from": "office"},
            "ownDigest": "own",
            "templateDigest": "of the template",
        }
    )
    [found] = desire(observed(declare(merged, A.file, 1, BASE)), {}).collectors.values()
    assert found.origin == Origin("office", "of the template", "own")


def test_E5_a_destination_that_was_never_valid_is_not_the_built_in_one() -> None:
    """Mail that is meant for it must not go elsewhere."""
    seen = observed(collector("a"), broken=(broken("local", "Destination"),))
    found = desire(seen, {})
    assert not found.collectors
    assert "'local' is invalid" in found.invalid["a"].problem.message


def test_E5_who_used_the_built_in_destination_goes_on_beside_one_that_was_never_valid() -> None:
    seen = observed(collector("a"), collector("new"), broken=(broken("local", "Destination"),))
    found = desire(seen, remembered(collector("a")))
    assert found.collectors["a"].destination is None
    assert set(found.invalid) == {"new"}


def test_E5_the_last_good_default_stays_in_use_where_the_one_in_its_place_was_never_valid() -> None:
    seen = observed(collector("a"), broken=(broken("local", "Destination"),))
    before = remembered(collector("a"), destination("old", default=True, maildir={"path": "x"}))
    assert desire(seen, before).collectors["a"].destination_name == "old"
