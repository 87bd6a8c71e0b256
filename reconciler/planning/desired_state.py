"""Desired state: which collectors shall run, and with which spec, given what the directory holds
and what was good.

Nobody is stopped by a mistake: what cannot be read or understood keeps its last good version, and
says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.manifests.checks.unsupported_fields import unsupported
from reconciler.model.spec import CollectorSpec, DestinationSpec, MailCollector, MergedCollector
from reconciler.planning.destination_choice import ChosenDestination, Destinations
from reconciler.planning.observed_manifests import (
    BrokenManifest,
    Declaration,
    Key,
    ObservedManifests,
)
from reconciler.planning.renames import Rename, find_renames

INVALID = "InvalidManifest"
UNREADABLE = "ManifestUnreadable"
NOT_SUPPORTED = "NotSupported"
HELD = "Held"
DIRECTORY_VANISHED = "DirectoryVanished"
RENAMING = "Renaming"


class CollectorProblem(Struct, frozen=True):
    """What keeps a collector from running as declared: a condition's reason, and a sentence that
    says where."""

    reason: str
    message: str


class Origin(Struct, frozen=True):
    """What the spec of a collector was merged from: its template's name, and digests of the
    template and of its own."""

    template: str
    template_digest: str
    own_digest: str


class DesiredCollector(Struct, frozen=True):
    """A collector with everything its loop needs. `spec` is as declared, `effective` has absolute
    paths.

    `destination` is None for the built-in one: Maildirs below the state directory. `digest` tells
    changes of the declared spec, `effective_digest` also those of paths and of the destination: a
    loop restarts when it changes.
    """

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: CollectorSpec
    effective: CollectorSpec
    destination_name: str | None
    destination: DestinationSpec | None
    digest: str
    effective_digest: str
    file: str
    line: int
    problem: CollectorProblem | None = None
    origin: Origin | None = None

    @property
    def source(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def held(self) -> bool:
        """It is declared no longer, and runs on until that is confirmed."""
        return self.problem is not None and self.problem.reason in {HELD, DIRECTORY_VANISHED}

    @property
    def supported(self) -> bool:
        """It may run: this version can do what it says, and it waits for no other one to end."""
        return self.problem is None or self.problem.reason not in {NOT_SUPPORTED, RENAMING}


class Invalid(Struct, frozen=True):
    """A collector of which nothing is known that could run: first seen bad, or without a
    destination."""

    name: str
    problem: CollectorProblem
    file: str
    line: int

    @property
    def source(self) -> str:
        return f"{self.file}:{self.line}"


class Desired(Struct, frozen=True):
    """`good` are the manifests that are in force now: the next time's last good ones."""

    collectors: Mapping[str, DesiredCollector]
    invalid: Mapping[str, Invalid]
    good: Mapping[Key, Declaration]
    rerouting: bool = False
    """Mail would go to another default Destination than before, and does not yet."""
    renames: Mapping[str, Rename] = field(default_factory=dict)
    """By the new name: what is new, and collects from the account of one that is declared no
    longer."""

    @property
    def becomes(self) -> Mapping[str, str]:
        """The new names of those that are only renamed, by the old ones."""
        return {rename.old: name for name, rename in self.renames.items() if rename.old}


class ChosenVersion(Struct, frozen=True):
    """The version of a manifest that is in force, and what is wrong with it."""

    declaration: Declaration
    problem: CollectorProblem | None = None


def desire(
    observed: ObservedManifests,
    remembered: Mapping[Key, Declaration],
    previous: Mapping[str, DesiredCollector] | None = None,
) -> Desired:
    """What shall run. `remembered` are the manifests that were good the last time; of the
    collectors that were desired then, `previous`, those that nothing changed for are the same
    objects again, so that the others are found fast."""
    destinations, settled, gone = choose_destinations(observed, remembered)
    collectors: dict[str, DesiredCollector] = {}
    invalid = _first_seen_bad(observed, remembered)
    good: dict[Key, Declaration] = {
        found.declaration.key: found.declaration for found in settled.values()
    }
    collecting = _collectors(observed, remembered)
    rerouting = _rerouting(collecting.values(), destinations, observed, remembered)
    if rerouting is not None:
        good = {
            key: found for key, found in remembered.items() if key[0] == "Destination"
        }  # as it is in force
    for name, found in collecting.items():
        good[found.declaration.key] = found.declaration
        if rerouting is not None and found.declaration.key in rerouting.collectors:
            held = found if found.problem else ChosenVersion(found.declaration, rerouting.problem)
            desired = with_destination(held, rerouting.before, None)
        else:
            desired = with_destination(
                found, destinations, previous.get(name) if previous else None
            )
        if isinstance(desired, Invalid):
            invalid[name] = desired
        else:
            collectors[name] = desired
    good.update(
        (key, declaration) for key, declaration in gone.items() if key[1] in destinations.kept
    )
    renames = find_renames(observed, remembered, collecting, collectors)
    for name, rename in renames.items():
        if rename.awaits:
            collectors[name] = replace(
                collectors[name],
                problem=CollectorProblem(
                    RENAMING,
                    f"it starts when {rename.old}, whose history goes on as {name}, has ended",
                ),
            )
            del good[
                "MailCollector", name
            ]  # as long as that is so it counts as new, and the other one as good
            good["MailCollector", rename.old] = remembered["MailCollector", rename.old]
    return Desired(collectors, invalid, good, rerouting is not None, renames)


class _Rerouting(Struct, frozen=True):
    """The collectors that name no destination, new ones too, and where the default was before."""

    collectors: frozenset[Key]
    before: Destinations
    problem: CollectorProblem


def _rerouting(
    found: Iterable[ChosenVersion],
    destinations: Destinations,
    observed: ObservedManifests,
    remembered: Mapping[Key, Declaration],
) -> _Rerouting | None:
    """Two or more collectors that name no Destination, for which the default is another one than
    before: whoever may declare one Destination must not get everybody's mail by that alone. None
    where that is not so, or is meant."""
    before = Destinations(
        {key[1]: one for key, one in remembered.items() if key[0] == "Destination"}, {}
    )
    old, new = before.choose(None), destinations.choose(None)
    if (
        observed.reroute_confirmed
        or old.missing
        or new.missing
        or new.complaint
        or old.digest == new.digest
    ):
        return None
    nameless = [one.declaration for one in found if _names_none(one.declaration)]
    concerned = [
        one
        for one in nameless
        if (known := remembered.get(one.key)) is not None and _names_none(known)
    ]
    if len(concerned) < 2:
        return None
    places = [
        f"the Destination {one.name!r}" if one.name else "the Maildirs below the state directory"
        for one in (new, old)
    ]
    if old.name == new.name:
        places[0] = "where it now says"
    problem = CollectorProblem(
        HELD,
        f"the mail of {len(concerned)} collectors that name no destination would go to "
        f"{places[0]}, no longer to {places[1]}: it goes where it went; if that is meant, create "
        "the file .allow-reroute in the manifests' directory, or name their destination in them",
    )
    return _Rerouting(frozenset(one.key for one in nameless), before, problem)


def _names_none(declaration: Declaration) -> bool:
    return (
        isinstance(declaration.manifest, MailCollector)
        and declaration.manifest.spec.destination is None
    )


def choose_destinations(
    observed: ObservedManifests, remembered: Mapping[Key, Declaration]
) -> tuple[Destinations, dict[str, ChosenVersion], dict[Key, Declaration]]:
    """The destinations; those that are declared, and those that are so no longer, of which some may
    still be needed."""
    settled = _choose_versions("Destination", observed, remembered)
    gone = {
        key: declaration
        for key, declaration in remembered.items()
        if key[0] == "Destination" and key[1] not in settled
    }
    return (
        Destinations(
            {name: found.declaration for name, found in settled.items()},
            {key[1]: declaration for key, declaration in gone.items()},
        ),
        settled,
        gone,
    )


def _choose_versions(
    kind: str, observed: ObservedManifests, remembered: Mapping[Key, Declaration]
) -> dict[str, ChosenVersion]:
    """Each name of this kind that is declared in any way, with the version in force."""
    settled = {
        found.name: ChosenVersion(found) for found in observed.declarations if found.kind == kind
    }
    for broken in observed.broken:
        last_good = remembered.get((kind, broken.name))
        if broken.kind == kind and last_good and broken.name not in settled:
            settled[broken.name] = ChosenVersion(
                last_good, CollectorProblem(INVALID, broken.message)
            )
    for key, declaration in remembered.items():
        if (
            key[0] == kind
            and key[1] not in settled
            and (problem := _withheld(declaration, observed))
        ):
            settled[key[1]] = ChosenVersion(declaration, problem)
    for key in observed.leaving & remembered.keys():
        if key[0] == kind and key[1] not in settled and key[1] not in observed.removed:
            settled[key[1]] = ChosenVersion(remembered[key])
    return settled


def _withheld(declaration: Declaration, observed: ObservedManifests) -> CollectorProblem | None:
    """Why a manifest that is not to be seen counts as declared all the same."""
    if observed.vanished:
        return CollectorProblem(DIRECTORY_VANISHED, observed.vanished)
    for place in _places(declaration.file):
        if place in observed.unreadable:
            return CollectorProblem(UNREADABLE, observed.unreadable[place])
    if declaration.file in observed.unclear:
        return CollectorProblem(INVALID, observed.unclear[declaration.file])
    return None


def _places(file: str) -> Iterator[str]:
    """The file, and each directory on the way to it."""
    while file:
        yield file
        file = file.rpartition("/")[0]


def _collectors(
    observed: ObservedManifests, remembered: Mapping[Key, Declaration]
) -> dict[str, ChosenVersion]:
    settled = _choose_versions("MailCollector", observed, remembered)
    any_left = settled or any(broken.kind == "MailCollector" for broken in observed.broken)
    gone = [
        declaration
        for key, declaration in remembered.items()
        if key[0] == "MailCollector" and key[1] not in settled and key[1] not in observed.removed
    ]
    if any_left or len(gone) < 2 or observed.empty_confirmed:
        return settled
    problem = CollectorProblem(
        HELD,
        f"all {len(gone)} collectors vanished at once, so they run on; "
        "if that is meant, create the file .allow-empty in the manifests' directory, or restart "
        "with --allow-empty",
    )
    return {declaration.name: ChosenVersion(declaration, problem) for declaration in gone}


def _first_seen_bad(
    observed: ObservedManifests, remembered: Mapping[Key, Declaration]
) -> dict[str, Invalid]:
    valid = {found.name for found in observed.declarations if found.kind == "MailCollector"}
    return {
        broken.name: _invalid(broken)
        for broken in observed.broken
        if broken.kind == "MailCollector"
        and broken.name not in valid
        and ("MailCollector", broken.name) not in remembered
    }


def _invalid(broken: BrokenManifest) -> Invalid:
    return Invalid(broken.name, CollectorProblem(INVALID, broken.message), broken.file, broken.line)


def with_destination(
    found: ChosenVersion, destinations: Destinations, previous: DesiredCollector | None
) -> DesiredCollector | Invalid:
    """The collector with where its mail goes; `previous` itself, where nothing changed."""
    declared = found.declaration
    manifest, effective = declared.manifest, declared.effective
    assert isinstance(manifest, MailCollector)  # noqa: S101  # the key's kind says so
    assert isinstance(effective, MailCollector)  # noqa: S101
    chosen = destinations.choose(manifest.spec.destination)
    if chosen.missing:
        return Invalid(
            declared.name,
            CollectorProblem(INVALID, f"{declared.source}: {chosen.complaint}"),
            declared.file,
            declared.line,
        )
    if previous is not None and _same(previous, found, chosen, manifest.spec, effective.spec):
        return previous
    problem = found.problem
    if problem is None and chosen.complaint:
        problem = CollectorProblem(INVALID, f"{declared.source}: {chosen.complaint}")
    gaps = [gap.message for gap in unsupported(effective.spec, chosen.spec) if not gap.safe]
    if gaps:
        problem = CollectorProblem(NOT_SUPPORTED, f"{declared.source}: {'; '.join(gaps)}")
    return DesiredCollector(
        declared.name,
        manifest.metadata.labels,
        manifest.metadata.annotations,
        manifest.spec,
        effective.spec,
        chosen.name,
        chosen.spec,
        declared.digest,
        f"{declared.effective_digest}:{chosen.digest}",
        declared.file,
        declared.line,
        problem,
        _origin(manifest),
    )


def _origin(manifest: MailCollector) -> Origin | None:
    if not isinstance(manifest, MergedCollector) or manifest.spec.from_ is None:
        return None
    return Origin(manifest.spec.from_, manifest.template_digest, manifest.own_digest)


def _same(
    previous: DesiredCollector,
    found: ChosenVersion,
    chosen: ChosenDestination,
    spec: CollectorSpec,
    effective: CollectorSpec,
) -> bool:
    """Whether nothing can have changed. What has a problem is looked at anew."""
    return (
        previous.spec is spec
        and previous.effective is effective
        and previous.destination is chosen.spec
        and previous.destination_name == chosen.name
        and previous.file == found.declaration.file
        and previous.problem is found.problem is None
        and not chosen.complaint
    )
