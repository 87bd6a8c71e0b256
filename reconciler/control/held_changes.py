"""What is on disk and not in force: the plan of now, and what is held until it is confirmed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reconciler.planning.desired_state import Desired, DesiredCollector
from reconciler.planning.observed_manifests import ObservedManifests
from reconciler.planning.reconcile_plan import Hold, Keep, Plan, Step

_UNREMARKABLE = frozenset({"unchanged", "disabled"})


class HeldCollector(Struct, frozen=True):
    """A collector whose change is held. `removed`: it is declared no longer, and runs on until that
    is confirmed."""

    name: str
    reason: str
    removed: bool


def held_collectors(
    plan: Plan, desired: Desired, observed: ObservedManifests
) -> Sequence[HeldCollector]:
    """Return what a plan holds back, sorted by name."""
    there = {one.name for one in observed.declarations if one.kind == "MailCollector"}
    there |= {one.name for one in observed.broken if one.kind == "MailCollector"}
    return [
        HeldCollector(
            step.name, step.reason, step.name not in there and _is_held(desired, step.name)
        )
        for step in plan.steps
        if isinstance(step, Hold)
    ]


def notable_steps(plan: Plan) -> Plan:
    """Return the steps that somebody should know of, without those that are held."""
    return Plan(tuple(step for step in plan.steps if _is_remarkable(step)))


def _is_held(desired: Desired, name: str) -> bool:
    found = desired.collectors.get(name)
    return isinstance(found, DesiredCollector) and found.held


def _is_remarkable(step: Step) -> bool:
    if isinstance(step, Hold):
        return False
    return not isinstance(step, Keep) or step.reason not in _UNREMARKABLE
