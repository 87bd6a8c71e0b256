"""The desired state after a few manifests changed, without a look at the thousands that did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, DesiredCollector, desire, with_destination
from reconciler.planning.observed_manifests import Declaration, ObservedManifests
from reconciler.planning.reconcile_plan import Plan, plan, plan_some
from reconciler.planning.renames import changed_declarations, find_exchanges
from reconciler.planning.version_choice import ChosenVersion, choose_destinations


def changed_collectors(
    before: ObservedManifests, now: ObservedManifests
) -> Sequence[Declaration] | None:
    """Return the declarations of collectors that changed; None where anything else changed,
    too."""
    if (
        len(before.declarations) != len(now.declarations)
        or now.removed
        or replace(before, declarations=()) != replace(now, declarations=())
    ):
        return None
    changed: list[Declaration] = []
    for old, new in zip(before.declarations, now.declarations, strict=True):
        if old is not new:
            if old.key != new.key or new.kind != "MailCollector":
                return None
            changed.append(new)
    return changed


def desire_incrementally(
    before: Desired, observed: ObservedManifests, changed: Sequence[Declaration]
) -> Desired | None:
    """Return the same as `desire` does for `observed`, where nothing but `changed` differs from
    `before`; None where only `desire` can tell."""
    destinations, _, gone = choose_destinations(observed, before.good)
    if gone or before.rerouting or before.renames:
        return None
    if find_exchanges(changed_declarations(changed, before.good), before.good):
        return None
    collectors, good = dict(before.collectors), dict(before.good)
    for declaration in changed:
        previous = before.collectors.get(declaration.name)
        desired = with_destination(ChosenVersion(declaration), destinations, previous)
        if previous is None or not isinstance(desired, DesiredCollector):
            return None
        collectors[declaration.name] = desired
        good[declaration.key] = declaration
    return Desired(collectors, before.invalid, good)


def plan_after(
    observed: ObservedManifests,
    before: ObservedManifests | None,
    desired: Desired | None,
    actual: Mapping[str, DesiredCollector],
) -> Plan:
    """Return the plan for what would be observed: of the collectors that change, where that is all,
    or else of every one. `before` is what was observed, with `desired` as the result."""
    if desired is None or before is None:
        return plan(desire(observed, {}), actual)
    changed = changed_collectors(replace(before, ending=observed.ending), observed)
    if changed is not None and (some := desire_incrementally(desired, observed, changed)):
        return plan_some(some, actual, [found.name for found in changed])
    return plan(desire(observed, desired.good, desired.collectors), actual)
