"""The desired state: which collectors should run, and with which spec. It follows from the
manifests and from their last good versions.

No mistake stops a collector. If a manifest cannot be read or understood, its last good version
stays in force, and its problem is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.spec import CollectorSpec, DestinationSpec, MailCollector, MergedCollector
from reconciler.planning.destination_choice import ChosenDestination, Destinations
from reconciler.planning.observed_manifests import (
    BrokenManifest,
    Declaration,
    Key,
    ObservedManifests,
)
from reconciler.planning.renames import Rename, find_renames
from reconciler.planning.rerouting import find_rerouting
from reconciler.planning.version_choice import (
    DIRECTORY_VANISHED,
    HELD,
    INVALID,
    ChosenVersion,
    CollectorProblem,
    choose_collectors,
    choose_destinations,
)

RENAMING = "Renaming"


class Origin(Struct, frozen=True):
    """What the spec of a collector was merged from: its template's name, and digests of the
    template and of its own fields."""

    template: str
    template_digest: str
    own_digest: str


class DesiredCollector(Struct, frozen=True):
    """A collector with everything its loop needs. `spec` is as declared, `effective` has absolute
    paths.

    `destination` is None for the built-in one: Maildirs below the state directory. `digest` changes
    with the declared spec, `effective_digest` also with paths and the destination: a loop restarts
    when it changes.
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
        """The manifest's file and line."""
        return f"{self.file}:{self.line}"

    @property
    def held(self) -> bool:
        """Whether it is declared no longer, and runs on until that is confirmed."""
        return self.problem is not None and self.problem.reason in {HELD, DIRECTORY_VANISHED}

    @property
    def may_run(self) -> bool:
        """Whether it may run: no other collector has to end first."""
        return self.problem is None or self.problem.reason != RENAMING


class InvalidCollector(Struct, frozen=True):
    """A collector of which no version could run: it was never valid, or has no destination."""

    name: str
    problem: CollectorProblem
    file: str
    line: int

    @property
    def source(self) -> str:
        """The manifest's file and line."""
        return f"{self.file}:{self.line}"


class Desired(Struct, frozen=True):
    """The desired state. `good` are the manifests in force, which are the last good ones of the
    next look."""

    collectors: Mapping[str, DesiredCollector]
    invalid: Mapping[str, InvalidCollector]
    good: Mapping[Key, Declaration]
    rerouting: bool = False
    """Whether mail would go to another default Destination than before. It does not until somebody
    confirms that."""
    renames: Mapping[str, Rename] = field(default_factory=dict)
    """New collectors, by name, of an account from which a collector that is no longer declared
    collected."""

    @property
    def becomes(self) -> Mapping[str, str]:
        """The new names of those that are only renamed, by the old ones."""
        return {rename.old: name for name, rename in self.renames.items() if rename.old}


def desire(
    observed: ObservedManifests,
    last_good: Mapping[Key, Declaration],
    previous: Mapping[str, DesiredCollector] | None = None,
) -> Desired:
    """Return which collectors should run. `last_good` are the manifests that were in force the last
    time. `previous` are the collectors that were desired then. Those for which nothing changed are
    the same objects again, so that the others are found fast."""
    destinations, destination_versions, gone = choose_destinations(observed, last_good)
    versions = choose_collectors(observed, last_good)
    rerouting = find_rerouting(versions.values(), destinations, observed, last_good)
    if rerouting is None:
        good = {one.declaration.key: one.declaration for one in destination_versions.values()}
    else:  # the destinations stay in force as they were
        good = {key: found for key, found in last_good.items() if key[0] == "Destination"}
    collectors: dict[str, DesiredCollector] = {}
    invalid = _never_valid(observed, last_good)
    for name, version in versions.items():
        good[version.declaration.key] = version.declaration
        if rerouting is not None and version.declaration.key in rerouting.collectors:
            problem = version.problem or rerouting.problem
            held = ChosenVersion(version.declaration, problem)
            desired = with_destination(held, rerouting.before, None)
        else:
            before = previous.get(name) if previous else None
            desired = with_destination(version, destinations, before)
        if isinstance(desired, InvalidCollector):
            invalid[name] = desired
        else:
            collectors[name] = desired
    good.update((key, one) for key, one in gone.items() if key[1] in destinations.kept)
    renames = find_renames(observed, last_good, versions, collectors)
    _let_renamed_wait(renames, collectors, good, last_good)
    return Desired(collectors, invalid, good, rerouting is not None, renames)


def with_destination(
    version: ChosenVersion, destinations: Destinations, previous: DesiredCollector | None
) -> DesiredCollector | InvalidCollector:
    """Return the collector with the destination of its mail; `previous` itself, where nothing
    changed."""
    declared, problem = version.declaration, version.problem
    manifest, effective = declared.manifest, declared.effective
    assert isinstance(manifest, MailCollector)  # noqa: S101  # the key's kind says so
    assert isinstance(effective, MailCollector)  # noqa: S101
    chosen = destinations.choose(manifest.spec.destination, declared.name)
    if chosen.missing:
        problem = CollectorProblem(INVALID, f"{declared.source}: {chosen.complaint}")
        return InvalidCollector(declared.name, problem, declared.file, declared.line)
    if previous is not None and _is_same(previous, version, chosen, effective.spec):
        return previous
    if problem is None and chosen.complaint:
        problem = CollectorProblem(INVALID, f"{declared.source}: {chosen.complaint}")
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


def _is_same(
    previous: DesiredCollector,
    version: ChosenVersion,
    chosen: ChosenDestination,
    effective: CollectorSpec,
) -> bool:
    """Return whether nothing can have changed. A collector with a problem is always made anew."""
    return (
        previous.effective is effective  # so the declared one is the same, too
        and previous.destination is chosen.spec  # so its name is the same, too
        and previous.file == version.declaration.file
        and previous.problem is version.problem is None
        and not chosen.complaint
    )


def _origin(manifest: MailCollector) -> Origin | None:
    if not isinstance(manifest, MergedCollector):
        return None
    assert manifest.spec.from_ is not None  # noqa: S101  # it was merged with that template
    return Origin(manifest.spec.from_, manifest.template_digest, manifest.own_digest)


def _never_valid(
    observed: ObservedManifests, last_good: Mapping[Key, Declaration]
) -> dict[str, InvalidCollector]:
    """Return the broken collectors of which no version was ever good, by name."""
    valid = {found.name for found in observed.declarations if found.kind == "MailCollector"}
    return {
        broken.name: _invalid(broken)
        for broken in observed.broken
        if broken.kind == "MailCollector"
        and broken.name not in valid
        and ("MailCollector", broken.name) not in last_good
    }


def _invalid(broken: BrokenManifest) -> InvalidCollector:
    problem = CollectorProblem(INVALID, broken.message)
    return InvalidCollector(broken.name, problem, broken.file, broken.line)


def _let_renamed_wait(
    renames: Mapping[str, Rename],
    collectors: dict[str, DesiredCollector],
    good: dict[Key, Declaration],
    last_good: Mapping[Key, Declaration],
) -> None:
    """Keep a renamed collector from running until the session under its old name is over.

    As long as that is so, the new name counts as new, and the old manifest as good.
    """
    waiting = {name: rename for name, rename in renames.items() if rename.awaits}
    for name, rename in waiting.items():
        message = f"it starts when {rename.old}, whose history goes on as {name}, has ended"
        problem = CollectorProblem(RENAMING, message)
        collectors[name] = replace(collectors[name], problem=problem)
        del good["MailCollector", name]
    for rename in waiting.values():  # afterwards: names may be exchanged
        good["MailCollector", rename.old] = last_good["MailCollector", rename.old]
