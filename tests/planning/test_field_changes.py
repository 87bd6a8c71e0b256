"""What differs between what runs and what is declared, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.manifests_in_force import InForce
from reconciler.model.secret import REDACTED
from reconciler.planning.desired_state import DesiredCollector, desire
from reconciler.planning.field_changes import FieldChange, changes
from reconciler.planning.observed_manifests import Declaration
from reconciler.planning.plan_preview import describe_in_force, preview, relocate, would_run
from reconciler.planning.reconcile_plan import Hold, Keep, Plan, Replace, Start, Stop, plan
from tests.planning.build import BASE, broken, collector, destination, observed, remembered

SOURCE = {
    "protocol": "imap",
    "host": "imap.example",
    "username": "a",
    "password": {"file": "secret"},
}


def stands(*declarations: Declaration, **counts: int) -> InForce:
    good = remembered(*declarations)
    return describe_in_force(good.values(), would_run(good), counts)


def planned(before: Declaration, after: Declaration, *others: Declaration) -> Replace:
    found = preview(observed(after, *others), stands(before, *others))
    (step,) = [one for one in found.steps if one.name == "a"]
    assert isinstance(step, Replace)
    return step


def test_every_field_that_differs_is_told_with_both_values() -> None:
    after = collector(
        "a", title="New", collect={"interval": "1h", "limit": 100}, source={**SOURCE, "port": 1993}
    )
    assert planned(collector("a"), after).changes == (
        FieldChange("spec.title", None, "New"),
        FieldChange("spec.source.port", None, 1993),
        FieldChange("spec.collect.interval", "5m", "1h"),
    )


def test_a_list_is_one_value_and_paths_are_absolute() -> None:
    after = collector(
        "a", source={**SOURCE, "folders": ["INBOX", "Lists/*"], "password": {"file": "other"}}
    )
    assert planned(collector("a"), after).changes == (
        FieldChange("spec.source.password.file", f"{BASE}/secret", f"{BASE}/other"),
        FieldChange("spec.source.folders", None, ["INBOX", "Lists/*"]),
    )


def test_a_destinations_change_is_told() -> None:
    before, after = (
        destination("d", maildir={"path": "/a"}),
        destination("d", maildir={"path": "/b"}),
    )
    one = collector("a", destination="d")
    found = preview(observed(one, after), stands(one, before))
    assert [step.changes for step in found.steps if isinstance(step, Replace)] == [
        (FieldChange("destination.spec.maildir.path", "/a", "/b"),)
    ]


def test_that_a_destination_is_the_default_is_told_in_the_collectors_own_field() -> None:
    before, after = (
        destination("d", default=True, maildir={"path": "/a"}),
        destination("d", maildir={"path": "/b"}),
    )
    one = collector("a", destination="d")
    found = preview(observed(one, after), stands(one, before))
    assert [step.changes for step in found.steps if isinstance(step, Replace)] == [
        (FieldChange("destination.spec.maildir.path", "/a", "/b"),)
    ]


def test_of_a_new_one_what_its_manifest_says_is_told() -> None:
    (step,) = preview(observed(collector("a", collect={"limit": 7})), stands()).steps
    assert isinstance(step, Start)
    fields = {change.field: change.after for change in step.changes}
    assert fields == {
        "spec.source.protocol": "imap",
        "spec.source.host": "imap.example",
        "spec.source.username": "a",
        "spec.source.password.file": f"{BASE}/secret",
        "spec.collect.limit": 7,
        "spec.recipient.forwardTo": "a@local.example",
    }


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"collect": {"mode": "all-delete"}}, "all-delete"),
        (
            {"collect": {"mode": "new-delete"}},
            {"collect": {"mode": "all-delete"}},
            "collects again",
        ),
        ({}, {"collect": {"mode": "new-delete"}}, "deletes on the server"),
        ({}, {"source": {**SOURCE, "username": "b"}}, "another account"),
        ({}, {"source": {**SOURCE, "tls": "starttls"}}, "another account"),
    ],
)
def test_what_follows_for_the_mail_is_said(
    before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    (sentence,) = planned(collector("a", **before), collector("a", **after)).consequences
    assert words in sentence


@pytest.mark.parametrize(
    "after",
    [
        {"collect": {"interval": "1h"}},
        {"source": {**SOURCE, "folders": ["Sent"]}},
        {"source": {**SOURCE, "port": 993}},
    ],
)
def test_nothing_is_said_where_nothing_follows(after: dict[str, Any]) -> None:
    assert planned(collector("a"), collector("a", **after)).consequences == ()


def test_no_secret_leaves_and_its_change_is_seen_all_the_same() -> None:
    one, other = (
        collector("a", source={**SOURCE, "password": {"value": value}})
        for value in ("hush-1", "hush-2")
    )
    now = stands(one)
    assert "hush" not in now.model_dump_json()
    found = preview(
        observed(other), InForce.model_validate_json(now.model_dump_json(by_alias=True))
    )
    assert "hush" not in repr(found)
    assert [type(step) for step in found.steps] == [Replace]
    assert [type(step) for step in preview(observed(one), now).steps] == [Keep]
    assert [type(step) for step in preview(observed(broken=(broken("a"),)), now).steps] == [Keep]


def test_it_is_the_plan_that_is_applied() -> None:
    good = remembered(
        collector("a"),
        collector("b"),
        collector("c", enabled=False),
        destination("d", default=True, lmtp={"socket": "s"}),
    )
    seen = observed(
        collector("a", collect={"limit": 1}),
        collector("c"),
        destination("e", default=True, lmtp={"socket": "t"}),
    )
    desired = desire(seen, good)
    applied: Plan = plan(desired, would_run(good))
    now = InForce.model_validate_json(
        describe_in_force(good.values(), would_run(good), {}).model_dump_json(by_alias=True)
    )
    assert preview(seen, now) == applied
    assert [type(step) for step in applied.steps] == [Replace, Stop, Start]


def test_another_directory_counts_as_if_it_stood_there() -> None:
    here = observed(collector("a"), broken=(broken("b"),), unreadable={f"{BASE}/c.yaml": "no"})
    moved = relocate(here, BASE, "/srv/running")
    assert [(found.file, found.base) for found in moved.declarations] == [
        ("/srv/running/a.yaml", "/srv/running")
    ]
    assert moved.broken[0].file == "/srv/running/b.yaml"
    assert list(moved.unreadable) == ["/srv/running/c.yaml"]
    assert relocate(moved, "/srv/running", BASE) == here
    assert relocate(here, "/etc/collect", "/x") == here


def test_what_is_disabled_does_not_run() -> None:
    off = collector("b", enabled=False)
    assert list(would_run(remembered(off, collector("c")))) == ["c"]


def test_an_absolute_path_stays_where_it_points() -> None:
    """Below the directory it would be another file."""
    one = collector("a", source={**SOURCE, "password": {"file": f"{BASE}/secret"}})
    [moved] = relocate(observed(one), BASE, "/srv/running").declarations
    assert moved.manifest == one.manifest


def test_two_that_vanish_are_shown_as_held() -> None:
    found = preview(observed(), stands(collector("a"), collector("b"), a=3))
    assert [type(step) for step in found.steps] == [Hold, Hold]


def test_S1_no_secret_that_stands_in_a_manifest_is_shown() -> None:
    def with_secrets(ending: str) -> DesiredCollector:
        source = {
            "protocol": "imap",
            "host": "imap.example",
            "username": "a",
            "oauth2": {
                "provider": "google",
                "clientId": "id",
                "clientSecret": {"value": f"client {ending}"},
                "refreshToken": {"value": f"refresh {ending}"},
            },
        }
        return desire(observed(collector("a", source=source)), {}).collectors["a"]

    assert changes(with_secrets("one"), with_secrets("two")) == (
        FieldChange("spec.source.oauth2.clientSecret.value", REDACTED, REDACTED),
        FieldChange("spec.source.oauth2.refreshToken.value", REDACTED, REDACTED),
    )
