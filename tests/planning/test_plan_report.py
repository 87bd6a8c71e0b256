"""What a plan says about the mail: the sentences of its steps, and why a collector is replaced."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from reconciler.planning.desired_state import Origin, desire
from reconciler.planning.plan_report import plan_as_data
from reconciler.planning.reconcile_plan import Keep, Plan, Replace, Start, Step, Stop, plan
from tests.planning.build import collector, observed

UNTIL = datetime(2027, 3, 1, 12, tzinfo=UTC)
A = collector("a")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        pytest.param(
            Stop("a", "disabled"),
            ["its history (1,200 messages remembered) is kept while it is declared"],
            id="disabled",
        ),
        pytest.param(
            Stop("a", "declared no longer"),
            ["its history (1,200 messages remembered) is kept until 2027-03-01 12:00:00Z if it"],
            id="removed",
        ),
        pytest.param(Stop("b", "disabled"), ["its history (0 messages"], id="nothing remembered"),
        pytest.param(Stop("a", "renamed to b", "b"), [], id="its history goes on as b"),
        pytest.param(
            Start("a", "declared", (), ("mail is fetched",)), ["mail is fetched"], id="new"
        ),
        pytest.param(Keep("a", "unchanged"), [], id="kept"),
    ],
)
def test_what_a_step_means_for_the_mail(step: Step, said: list[str]) -> None:
    data = plan_as_data(Plan((step,)), {"a": 1200}, UNTIL)
    assert data["changed"] is not isinstance(step, Keep)
    [one] = data["steps"]
    assert one["step"] == type(step).__name__
    assert len(one["consequences"]) == len(said)
    assert all(map(str.startswith, one["consequences"], said))


FROM_OFFICE = Origin("office", "t1", "o1")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (None, FROM_OFFICE, "its spec or destination changed"),
        (FROM_OFFICE, None, "its spec or destination changed"),
        (FROM_OFFICE, Origin("office", "t1", "o2"), "its spec or destination changed"),
        (FROM_OFFICE, Origin("office", "t2", "o1"), "its template office changed"),
        (FROM_OFFICE, Origin("office", "t2", "o2"), "its spec and its template office changed"),
        (FROM_OFFICE, Origin("home", "t2", "o1"), "its template is home, no longer office"),
    ],
)
def test_why_a_collector_is_replaced(
    before: Origin | None, after: Origin | None, reason: str
) -> None:
    desired = desire(observed(A), {})
    running = replace(desired.collectors["a"], origin=before, effective_digest="another")
    wanted = replace(desired.collectors["a"], origin=after)
    [step] = plan(replace(desired, collectors={"a": wanted}), {"a": running}).steps
    assert step == Replace("a", reason, (), ())
