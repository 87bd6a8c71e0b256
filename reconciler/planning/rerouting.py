"""The check whether mail would go to another default Destination than before.

The permission to declare one Destination must not suffice to get the mail of all collectors. So the
change is held where it concerns two or more collectors, until somebody confirms it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.model.spec import MailCollector
from reconciler.planning.destination_choice import ChosenDestination, Destinations
from reconciler.planning.observed_manifests import Declaration, Key, ObservedManifests
from reconciler.planning.version_choice import HELD, ChosenVersion, CollectorProblem


class HeldRerouting(Struct, frozen=True):
    """The collectors that name no destination, new ones too, and the destinations as they were
    before."""

    collectors: frozenset[Key]
    before: Destinations
    problem: CollectorProblem


def find_rerouting(
    versions: Iterable[ChosenVersion],
    destinations: Destinations,
    observed: ObservedManifests,
    last_good: Mapping[Key, Declaration],
) -> HeldRerouting | None:
    """Return the change that is to be held; None where there is none, or it was confirmed."""
    before = Destinations(
        {name: one for (kind, name), one in last_good.items() if kind == "Destination"}, {}
    )
    old, new = before.choose(None), destinations.choose(None)
    if observed.reroute_confirmed or old.missing or new.complaint or old.digest == new.digest:
        return None
    nameless = [one.declaration for one in versions if _names_none(one.declaration)]
    concerned = [
        one
        for one in nameless
        if (known := last_good.get(one.key)) is not None and _names_none(known)
    ]
    if len(concerned) < 2:
        return None
    problem = CollectorProblem(HELD, _sentence(len(concerned), old, new))
    if problem.message == observed.confirmed_rerouting:
        return None
    return HeldRerouting(frozenset(one.key for one in nameless), before, problem)


def _names_none(declaration: Declaration) -> bool:
    return (
        isinstance(declaration.manifest, MailCollector)
        and declaration.manifest.spec.destination is None
    )


def _sentence(concerned: int, old: ChosenDestination, new: ChosenDestination) -> str:
    there = "where it now says" if old.name == new.name else _described(new)
    return (
        f"the mail of {concerned} collectors that name no destination would go to {there}, "
        f"no longer to {_described(old)}: it goes where it went; if that is meant, create "
        "the file .allow-reroute in the manifests' directory, or name their destination in them"
    )


def _described(destination: ChosenDestination) -> str:
    if destination.name:
        return f"the Destination {destination.name!r}"
    return "the Maildirs below the state directory"
