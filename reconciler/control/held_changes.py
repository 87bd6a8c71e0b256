"""The changes on disk that are not in force: the present plan, and the changes that are held until
somebody confirms them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from reconciler.planning.desired_state import RENAMING, Desired, DesiredCollector
from reconciler.planning.observed_manifests import ObservedManifests
from reconciler.planning.reconcile_plan import Hold, Keep, Plan, Step
from reconciler.planning.version_choice import DIRECTORY_VANISHED, HELD

_UNREMARKABLE = frozenset({"unchanged", "disabled"})


class HeldKind(StrEnum):
    """The reason why a change is held, which decides what ends that."""

    REMOVED = "removed"
    """The collector is no longer declared, like many others at once. Somebody has to confirm
    that."""
    VANISHED = "vanished"
    """The directory of manifests is missing, and has to come back."""
    REROUTED = "rerouted"
    """Its mail would go to another default Destination. Somebody has to confirm it."""
    RENAMING = "renaming"
    """The collector starts by itself when the last session under its old name is over."""
    INVALID = "invalid"
    """No version of its manifest can run. It has to be corrected."""


class HeldCollector(Struct, frozen=True):
    """A collector whose change is held."""

    name: str
    reason: str
    kind: HeldKind

    @property
    def removed(self) -> bool:
        """Whether its manifest is gone, and it runs on until somebody confirms that."""
        return self.kind is HeldKind.REMOVED


def held_collectors(
    plan: Plan, desired: Desired, observed: ObservedManifests
) -> Sequence[HeldCollector]:
    """Return what a plan holds back, sorted by name."""
    there = {one.name for one in observed.declarations if one.kind == "MailCollector"}
    there |= {one.name for one in observed.broken if one.kind == "MailCollector"}
    return [
        HeldCollector(step.name, step.reason, _kind(desired, step.name, step.name in there))
        for step in plan.steps
        if isinstance(step, Hold)
    ]


def notable_steps(plan: Plan) -> Plan:
    """Return the steps that somebody should know of, without those that are held."""
    return Plan(tuple(step for step in plan.steps if _is_remarkable(step)))


def _kind(desired: Desired, name: str, is_declared: bool) -> HeldKind:
    found = desired.collectors.get(name)
    reason = found.problem.reason if isinstance(found, DesiredCollector) and found.problem else ""
    if reason == HELD:
        return HeldKind.REROUTED if is_declared else HeldKind.REMOVED
    kinds = {DIRECTORY_VANISHED: HeldKind.VANISHED, RENAMING: HeldKind.RENAMING}
    return kinds.get(reason, HeldKind.INVALID)


def _is_remarkable(step: Step) -> bool:
    if isinstance(step, Hold):
        return False
    return not isinstance(step, Keep) or step.reason not in _UNREMARKABLE
