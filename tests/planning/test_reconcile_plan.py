"""The plan, by a table: what is declared, what runs, what is to be done."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.planning.desired_state import DesiredCollector, desire
from reconciler.planning.observed_manifests import (
    Declaration,
    ObservedManifests,
    last_good_changes,
    parse_last_good,
)
from reconciler.planning.reconcile_plan import Hold, Keep, Replace, Start, Step, Stop, plan
from tests.planning.build import broken, collector, observed, remembered

A, B = collector("a"), collector("b")
CHANGED = collector("a", collect={"interval": "1h"})
DISABLED = collector("a", enabled=False)


def running(*declarations: Declaration) -> dict[str, DesiredCollector]:
    return dict(desire(observed(*declarations), {}).collectors)


@pytest.mark.parametrize(
    ("seen", "runs", "step"),
    [
        pytest.param(observed(A), {}, Start, id="new"),
        pytest.param(observed(A), running(A), Keep, id="unchanged"),
        pytest.param(
            observed(collector("a", labels={"team": "x"})), running(A), Keep, id="labels only"
        ),
        pytest.param(
            observed(collector("a", file="/elsewhere.yaml")), running(A), Keep, id="moved"
        ),
        pytest.param(observed(CHANGED), running(A), Replace, id="changed"),
        pytest.param(observed(), running(A), Stop, id="removed"),
        pytest.param(observed(DISABLED), running(A), Stop, id="disabled"),
        pytest.param(observed(DISABLED), {}, Keep, id="disabled already"),
        pytest.param(
            observed(broken=(broken("a"),)),
            running(A),
            Keep,
            id="broken, running the last good one",
        ),
        pytest.param(observed(broken=(broken("a"),)), {}, Start, id="broken, after a restart"),
        pytest.param(ObservedManifests(vanished="gone"), running(A), Hold, id="directory vanished"),
        pytest.param(
            ObservedManifests(vanished="gone"), {}, Start, id="directory vanished, after a restart"
        ),
    ],
)
def test_one_collector(
    seen: ObservedManifests, runs: dict[str, DesiredCollector], step: type[Step]
) -> None:
    steps = plan(desire(seen, remembered(A)), runs).steps
    assert [type(one) for one in steps] == [step]
    assert steps[0].name == "a"
    assert steps[0].reason


def test_one_that_was_never_good_is_held_back_and_keeps_what_runs() -> None:
    desired = desire(observed(broken=(broken("a"),)), {})
    assert [type(step) for step in plan(desired, {}).steps] == [Hold]
    assert [type(step) for step in plan(desired, running(A)).steps] == [Keep]


def test_one_that_runs_its_last_good_version_says_so_however_often_one_looks() -> None:
    desired = desire(observed(broken=(broken("a"),)), remembered(A))
    [step] = plan(desired, desired.collectors).steps
    assert isinstance(step, Keep)
    assert "mend this" in step.reason


def test_two_that_vanish_at_once_are_held() -> None:
    found = plan(desire(observed(), remembered(A, B)), running(A, B))
    assert [type(step) for step in found.steps] == [Hold, Hold]
    assert not found.changes
    assert ".allow-empty" in found.steps[0].reason


def test_only_the_changed_one_is_touched_and_steps_are_counted() -> None:
    found = plan(desire(observed(CHANGED, B, collector("c")), {}), running(A, B))
    assert [(type(step), step.name) for step in found.steps] == [
        (Replace, "a"),
        (Keep, "b"),
        (Start, "c"),
    ]
    assert found.count() == {"Replace": 1, "Keep": 1, "Start": 1}


def test_what_is_remembered_comes_back_as_it_was() -> None:
    changed, gone = last_good_changes(remembered(B), remembered(A))
    assert gone == [B.key]
    assert [(good.kind, good.name, good.base) for good in changed] == [
        ("MailCollector", "a", A.base)
    ]
    assert parse_last_good(changed[0].kind, changed[0].text) == A.manifest
    assert last_good_changes(remembered(A), remembered(collector("a"))) == ([], [])


@pytest.mark.parametrize("secret", ["password", "clientSecret", "refreshToken"])
def test_a_manifest_with_a_secret_in_it_is_not_remembered_and_forgotten_where_it_was(
    secret: str,
) -> None:
    inline = {"value": "hunter22"}
    source: dict[str, Any] = {"protocol": "imap", "host": "imap.example", "username": "a"}
    if secret == "password":
        source["password"] = inline
    else:
        tokens = {"clientSecret": {"file": "c"}, "refreshToken": {"file": "r"}, secret: inline}
        source["oauth2"] = {"provider": "google", "clientId": "id", **tokens}
    now = remembered(collector("a", source=source))
    assert last_good_changes({}, now) == ([], [])
    assert last_good_changes(remembered(A), now) == ([], [A.key])
