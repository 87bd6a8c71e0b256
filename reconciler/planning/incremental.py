"""The desired state after a few manifests changed, without a look at the thousands that did not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, DesiredCollector, with_destination
from reconciler.planning.observed_manifests import Declaration, Key, ObservedManifests
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


def desired_near(
    desired: Desired, observed: ObservedManifests, name: str, is_declared: Callable[[Key], bool]
) -> Desired:
    """Return the part of what is desired that decides about a few collectors: `name`, and those in
    `observed`. That is the collectors themselves, the Destinations, and removed collectors (see
    `is_declared`) that may now have another name. It does for a desired state without a held
    rerouting: that counts all collectors."""
    near = {("MailCollector", name), *(one.key for one in observed.declarations)}
    near |= {(one.kind, one.name) for one in observed.broken}
    good = {
        key: one
        for key, one in desired.good.items()
        if key[0] != "MailCollector" or key in near or not is_declared(key)
    }
    names = {name for kind, name in (*good, *near) if kind == "MailCollector"}
    collectors = {one: desired.collectors[one] for one in names if one in desired.collectors}
    return Desired(collectors, {}, good)
