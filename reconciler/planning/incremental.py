"""What a few changed manifests mean for the desired state, without looking at the thousands that
are as they were."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from reconciler.planning.desired_state import (
    ChosenVersion,
    Desired,
    DesiredCollector,
    choose_destinations,
    with_destination,
)
from reconciler.planning.observed_manifests import Declaration, ObservedManifests


def changed_collectors(
    before: ObservedManifests, now: ObservedManifests
) -> Sequence[Declaration] | None:
    """The collectors whose declarations are other ones than before; None where more than that
    differs."""
    if (
        len(before.declarations) != len(now.declarations)
        or now.removed
        or (replace(before, declarations=()) != replace(now, declarations=()))
    ):
        return None
    found: list[Declaration] = []
    for old, new in zip(before.declarations, now.declarations, strict=True):
        if old is not new:
            if old.key != new.key or new.kind != "MailCollector":
                return None
            found.append(new)
    return found


def desire_incrementally(
    before: Desired, observed: ObservedManifests, declared: Sequence[Declaration]
) -> Desired | None:
    """What `desire` gives for `observed`, of which only `declared` is not as it was; None where it
    must be asked."""
    destinations, _, gone = choose_destinations(observed, before.good)
    if gone or before.rerouting or before.renames:
        return None
    collectors, good = dict(before.collectors), dict(before.good)
    for declaration in declared:
        previous = before.collectors.get(declaration.name)
        found = with_destination(ChosenVersion(declaration), destinations, previous)
        if previous is None or not isinstance(found, DesiredCollector):
            return None
        collectors[declaration.name] = found
        good[declaration.key] = declaration
    return Desired(collectors, before.invalid, good)
