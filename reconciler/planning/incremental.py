"""The desired state after a few manifests changed, without a look at the thousands that did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, DesiredCollector, with_destination
from reconciler.planning.observed_manifests import Declaration, Key, ObservedManifests
from reconciler.planning.renames import changed_declarations, find_exchanges
from reconciler.planning.version_choice import ChosenVersion, choose_destinations, why_unseen


class ManifestDifference(Struct, frozen=True):
    """How the collectors that are declared differ from those that are desired. `changed` are
    declared otherwise, or new; `gone` are the names of those that are declared no longer."""

    changed: tuple[Declaration, ...] = ()
    gone: tuple[str, ...] = ()


def difference(
    before: ObservedManifests, now: ObservedManifests, good: Mapping[Key, Declaration]
) -> ManifestDifference | None:
    """Return the difference between two looks; None if more than collectors came, went or changed.
    `good` are the manifests in force."""
    if _apart_from_collectors(before) != _apart_from_collectors(now):
        return None
    changed, lost = _changes(before.declarations, now.declarations)
    kept = {key for key in now.leaving if key[1] not in now.removed}
    lost |= {key for key in before.leaving | now.leaving if key in good}
    if now.removed:
        there = {one.key for one in now.declarations}
        confirmed = {("MailCollector", name) for name in now.removed} - there
        lost |= {key for key in confirmed if key in good}
    declared = {one.key for one in changed}
    gone = sorted(lost - kept - declared)
    kinds = {kind for kind, _ in (*declared, *lost)}
    if kinds - {"MailCollector"} or any(_stays(key, good, now) for key in gone):
        return None
    return ManifestDifference(tuple(changed), tuple(name for _, name in gone))


def _apart_from_collectors(observed: ObservedManifests) -> ObservedManifests:
    return replace(observed, declarations=(), leaving=frozenset(), removed=frozenset())


def _changes(
    before: Sequence[Declaration], now: Sequence[Declaration]
) -> tuple[list[Declaration], set[Key]]:
    """Return what is declared otherwise than before, and the keys that are declared no longer."""
    if len(before) == len(now):
        pairs = [(old, new) for old, new in zip(before, now, strict=True) if old is not new]
        if all(old.key == new.key for old, new in pairs):
            return [new for _, new in pairs], set()
    known, there = {id(one) for one in before}, {one.key for one in now}
    changed = [one for one in now if id(one) not in known]
    return changed, {one.key for one in before} - there


def _stays(key: Key, good: Mapping[Key, Declaration], now: ObservedManifests) -> bool:
    """Return whether a collector that is not declared may go on all the same."""
    is_broken = any((one.kind, one.name) == key for one in now.broken)
    return is_broken or (key in good and why_unseen(good[key], now) is not None)


def desire_incrementally(
    before: Desired, observed: ObservedManifests, found: ManifestDifference
) -> Desired | None:
    """Return the same as `desire` does for `observed`, where nothing but `found` differs from
    `before`; None where only `desire` can tell."""
    destinations, _, gone = choose_destinations(observed, before.good)
    if gone or before.rerouting or before.renames or _may_go_on(before, observed, found):
        return None
    if any(one.held for one in before.collectors.values()) or before.invalid.keys() & found.gone:
        return None
    collectors, good = dict(before.collectors), dict(before.good)
    for name in found.gone:
        collectors.pop(name, None)
        good.pop(("MailCollector", name), None)
    for declaration in found.changed:
        previous = before.collectors.get(declaration.name)
        desired = with_destination(ChosenVersion(declaration), destinations, previous)
        if not isinstance(desired, DesiredCollector) or declaration.name in before.invalid:
            return None
        collectors[declaration.name] = desired
        good[declaration.key] = declaration
    if found.gone and not any(one.kind == "MailCollector" for one in observed.declarations):
        return None  # perhaps they vanished
    return Desired(collectors, before.invalid, good)


def _may_go_on(before: Desired, observed: ObservedManifests, found: ManifestDifference) -> bool:
    """Return whether a history may go on under another name: that of a collector which is gone or
    leaving, or of two that exchanged their names."""
    if found.changed and (found.gone or observed.leaving):
        return True
    new = [one for one in found.changed if one.key not in before.good]
    old = [one for one in found.changed if one.key in before.good]
    return bool(find_exchanges(changed_declarations(old, before.good), before.good, new))


def desired_near(
    desired: Desired, observed: ObservedManifests, name: str, is_declared: Callable[[Key], bool]
) -> Desired:
    """Return the part of what is desired that decides about a few collectors: `name`, and those in
    `observed`. That is the collectors themselves, the Destinations, and removed collectors (see
    `is_declared`) that may now have another name. It is valid only without a held rerouting,
    because that counts all collectors."""
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
