"""The choice of each manifest's version: the declared one, or the last good one.

A manifest keeps its last good version if it cannot be read or understood, or if it vanished in a
suspicious way. A problem says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from reconciler.planning.destination_choice import Destinations
from reconciler.planning.observed_manifests import Declaration, Key, ObservedManifests

INVALID = "InvalidManifest"
UNREADABLE = "ManifestUnreadable"
HELD = "Held"
DIRECTORY_VANISHED = "DirectoryVanished"


class CollectorProblem(Struct, frozen=True):
    """What keeps a collector from running as declared: a condition's reason, and a sentence that
    says where."""

    reason: str
    message: str


class ChosenVersion(Struct, frozen=True):
    """The version of a manifest that counts, and what is wrong with the declared one."""

    declaration: Declaration
    problem: CollectorProblem | None = None


def choose_collectors(
    observed: ObservedManifests, last_good: Mapping[Key, Declaration]
) -> dict[str, ChosenVersion]:
    """Return the version of each collector that counts, by name. All of two or more collectors
    that vanish at once are held."""
    versions = _choose("MailCollector", observed, last_good)
    any_left = versions or any(broken.kind == "MailCollector" for broken in observed.broken)
    gone = [
        declaration
        for (kind, name), declaration in last_good.items()
        if kind == "MailCollector" and name not in observed.removed
    ]
    if any_left or len(gone) < 2 or observed.empty_confirmed:
        return versions
    problem = CollectorProblem(
        HELD,
        f"all {len(gone)} collectors vanished at once, so they run on; "
        "if that is meant, create the file .allow-empty in the manifests' directory, or restart "
        "with --allow-empty",
    )
    return {declaration.name: ChosenVersion(declaration, problem) for declaration in gone}


def choose_destinations(
    observed: ObservedManifests, last_good: Mapping[Key, Declaration]
) -> tuple[Destinations, dict[str, ChosenVersion], dict[Key, Declaration]]:
    """Return the destinations; the versions of those that are declared, by name; and those that
    are declared no longer, of which some may still be needed."""
    versions = _choose("Destination", observed, last_good)
    gone = {
        key: declaration
        for key, declaration in last_good.items()
        if key[0] == "Destination" and key[1] not in versions
    }
    never_valid = next(
        (
            f"the destination {broken.name!r} is invalid, and no other one is declared: "
            f"{broken.message}"
            for broken in observed.broken
            if broken.kind == "Destination" and broken.name not in versions
        ),
        "",
    )
    had_one = any(kind == "Destination" for kind, _ in last_good)
    destinations = Destinations(
        {name: version.declaration for name, version in versions.items()},
        {name: declaration for (_, name), declaration in gone.items()},
        never_valid,
        () if had_one or not never_valid else {name for _, name in last_good},
    )
    return destinations, versions, gone


def _choose(
    kind: str, observed: ObservedManifests, last_good: Mapping[Key, Declaration]
) -> dict[str, ChosenVersion]:
    """Return the version of each manifest of this kind that counts as declared, by name."""
    versions = {
        found.name: ChosenVersion(found) for found in observed.declarations if found.kind == kind
    }
    for broken in observed.broken:
        good = last_good.get((kind, broken.name))
        if broken.kind == kind and good and broken.name not in versions:
            problem = CollectorProblem(INVALID, broken.message)
            versions[broken.name] = ChosenVersion(good, problem)
    for key, good in last_good.items():
        if key[0] == kind and key[1] not in versions and (unseen := why_unseen(good, observed)):
            versions[key[1]] = ChosenVersion(good, unseen)
    for key in observed.leaving & last_good.keys():
        if key[0] == kind and key[1] not in versions and key[1] not in observed.removed:
            versions[key[1]] = ChosenVersion(last_good[key])
    return versions


def why_unseen(declaration: Declaration, observed: ObservedManifests) -> CollectorProblem | None:
    """Return why a manifest cannot be seen and counts as declared all the same; None where it is
    really gone."""
    if observed.vanished:
        return CollectorProblem(DIRECTORY_VANISHED, observed.vanished)
    for path in _file_and_parents(declaration.file):
        if path in observed.unreadable:
            return CollectorProblem(UNREADABLE, observed.unreadable[path])
    if declaration.file in observed.unclear:
        return CollectorProblem(INVALID, observed.unclear[declaration.file])
    return None


def _file_and_parents(file: str) -> Iterator[str]:
    while file:
        yield file
        file = file.rpartition("/")[0]
