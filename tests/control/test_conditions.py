"""Conditions, by a table."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.control.conditions import CollectorFacts, conditions, show_collector, shown_spec
from reconciler.control.loop_state import LoopSnapshot, LoopState
from reconciler.model.history import Retry
from reconciler.model.outcomes import Failure
from reconciler.model.spec import MailCollector
from reconciler.planning.desired_state import DesiredCollector, InvalidCollector, desire
from reconciler.planning.observed_manifests import ObservedManifests
from tests.control.doubles import later, report
from tests.control.virtual import EPOCH
from tests.planning.build import broken, collector, observed, remembered

A = collector("a")
RETRY = Retry("AuthenticationFailed", "wrong password", 1, later(EPOCH, 3600), "d")


def desired(seen: ObservedManifests, *good: Any) -> DesiredCollector | InvalidCollector:
    found = desire(seen, remembered(*good))
    return found.collectors.get("a") or found.invalid["a"]


def loop(observed_generation: int = 1, awaiting_first: bool = False) -> LoopSnapshot:
    return LoopSnapshot(
        observed_generation,
        EPOCH,
        later(EPOCH, 60),
        LoopState.WAITING,
        awaiting_first=awaiting_first,
        retry=None,
    )


GOOD, BAD = report(EPOCH, EPOCH), report(EPOCH, EPOCH, Failure("ConnectionFailed", "refused"))
REFUSED = report(EPOCH, EPOCH, Failure("AuthenticationFailed", "wrong password"))
VALID = desired(observed(A))


@pytest.mark.parametrize(
    ("facts", "ready", "reconciling", "stalled"),
    [
        pytest.param(
            CollectorFacts(VALID, 1, loop(awaiting_first=True)),
            "Unknown AwaitingFirstSession",
            "True AwaitingFirstSession",
            "False NoProblem",
            id="before the first session",
        ),
        pytest.param(
            CollectorFacts(VALID, 1, loop(awaiting_first=True), verdict=GOOD),
            "True Collected",
            "True AwaitingFirstSession",
            "False NoProblem",
            id="after a restart",
        ),
        pytest.param(
            CollectorFacts(VALID, 1, loop(), verdict=GOOD),
            "True Collected",
            "False UpToDate",
            "False NoProblem",
            id="collected",
        ),
        pytest.param(
            CollectorFacts(VALID, 1, loop(), verdict=BAD),
            "False ConnectionFailed",
            "False UpToDate",
            "False NoProblem",
            id="failed",
        ),
        pytest.param(
            CollectorFacts(VALID, 1, loop(), RETRY, verdict=REFUSED),
            "False AuthenticationFailed",
            "False UpToDate",
            "True AuthenticationFailed",
            id="login refused",
        ),
        pytest.param(
            CollectorFacts(VALID, 2, loop(1), verdict=GOOD),
            "True Collected",
            "True Replacing",
            "False NoProblem",
            id="the old session finishes",
        ),
        pytest.param(
            CollectorFacts(desired(observed(broken=(broken("a"),)), A), 1, loop(), verdict=GOOD),
            "True Collected",
            "False UpToDate",
            "True InvalidManifest",
            id="broken, the last good one runs",
        ),
        pytest.param(
            CollectorFacts(desired(observed(broken=(broken("a"),)))),
            "False InvalidManifest",
            "False UpToDate",
            "True InvalidManifest",
            id="first seen bad",
        ),
        pytest.param(
            CollectorFacts(desired(observed(collector("a", enabled=False))), 1, verdict=GOOD),
            "False Disabled",
            "False UpToDate",
            "False NoProblem",
            id="disabled",
        ),
        pytest.param(
            CollectorFacts(desired(ObservedManifests(vanished="gone"), A), 1, loop(), verdict=GOOD),
            "True Collected",
            "False UpToDate",
            "True DirectoryVanished",
            id="directory vanished",
        ),
    ],
)
def test_conditions(facts: CollectorFacts, ready: str, reconciling: str, stalled: str) -> None:
    found = {one.type: f"{one.status} {one.reason}" for one in conditions(facts, (), EPOCH)}
    assert found == {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = conditions(CollectorFacts(VALID, 1, loop(), verdict=BAD), (), EPOCH)
    other = report(EPOCH, EPOCH, Failure("TlsRefused", "expired"))
    second = conditions(CollectorFacts(VALID, 1, loop(), verdict=other), first, later(EPOCH, 5))
    third = conditions(CollectorFacts(VALID, 1, loop(), verdict=GOOD), second, later(EPOCH, 9))
    assert [one.last_transition_time for one in second] == [EPOCH] * 3
    assert [one.last_transition_time for one in third] == [later(EPOCH, 9), EPOCH, EPOCH]
    assert second[0].reason == "TlsRefused"


def test_what_is_shown_has_times_and_counters_and_no_secret() -> None:
    found = show_collector(
        CollectorFacts(VALID, 1, loop(), last=GOOD, verdict=GOOD, revision="abc"), (), EPOCH
    )
    status = found.model_dump(mode="json", by_alias=True)["status"]
    assert status["nextSession"] == "2026-11-22T12:01:00.000000Z"
    assert status["lastSession"]["listed"] == 3
    assert (status["generation"], status["observedGeneration"], status["revision"]) == (1, 1, "abc")

    inline = collector(
        "a",
        source={"protocol": "imap", "host": "h", "username": "u", "password": {"value": "canary"}},
    )
    assert isinstance(inline.manifest, MailCollector)
    assert "canary" not in str(shown_spec(inline.manifest.spec))
