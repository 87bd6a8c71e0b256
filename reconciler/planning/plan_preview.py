"""Preview the plan that follows from the manifests in force. Those come from a daemon's API or from
the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from reconciler.manifests.effective_manifest import map_paths, resolve_paths
from reconciler.model.manifest_secrets import without_secrets
from reconciler.model.manifests_in_force import InForce, ManifestInForce
from reconciler.model.spec import ManifestModel, MergedCollector
from reconciler.planning.desired_state import DesiredCollector, desire
from reconciler.planning.observed_manifests import (
    BrokenManifest,
    Declaration,
    Key,
    ObservedManifests,
    declare,
    model_of,
)
from reconciler.planning.reconcile_plan import Plan, plan

M = TypeVar("M", bound=ManifestModel)


def describe_in_force(
    good: Iterable[Declaration],
    running: Mapping[str, DesiredCollector],
    remembered: Mapping[str, int],
) -> InForce:
    """Return what is in force, as the API gives it: without secrets."""
    return InForce(
        manifests=tuple(map(_shown, good)),
        remembered=dict(remembered),
        running={name: found.effective_digest for name, found in running.items()},
    )


def would_run(good: Mapping[Key, Declaration]) -> dict[str, DesiredCollector]:
    """Return the collectors that run where these manifests are in force."""
    desired = desire(ObservedManifests(tuple(good.values())), good)
    return {
        name: found
        for name, found in desired.collectors.items()
        if found.may_run and found.effective.enabled
    }


def preview(observed: ObservedManifests, now: InForce) -> Plan:
    """Return the plan if the directory held `observed`. Raises ValueError where this version does
    not understand what is in force."""
    good = {found.key: found for found in map(_declaration, now.manifests)}
    known = desire(ObservedManifests(tuple(good.values())), good).collectors
    running = {
        name: replace(known[name], effective_digest=digest)
        for name, digest in now.running.items()
        if name in known
    }
    return plan(desire(observed, good), running)


def relocate(observed: ObservedManifests, here: str, there: str) -> ObservedManifests:
    """Return the observation if the directory `here` were at `there`: files and relative paths are
    below `there`."""

    def at(path: str) -> str:
        return (
            there + path.removeprefix(here) if path == here or path.startswith(f"{here}/") else path
        )

    return replace(
        observed,
        declarations=tuple(
            declare(_moved(found.manifest, at), at(found.file), found.line, at(found.base))
            for found in observed.declarations
        ),
        broken=tuple(
            BrokenManifest(one.kind, one.name, at(one.file), one.line, one.message)
            for one in observed.broken
        ),
        unreadable={at(file): why for file, why in observed.unreadable.items()},
        unclear={at(file): why for file, why in observed.unclear.items()},
    )


def _moved(manifest: M, at: Callable[[str], str]) -> M:
    """Return the manifest with moved absolute paths: a template in another directory gave those."""
    return map_paths(manifest, at) if isinstance(manifest, MergedCollector) else manifest


def _shown(found: Declaration) -> ManifestInForce:
    return ManifestInForce(
        file=found.file,
        line=found.line,
        base=found.base,
        digest=found.digest,
        manifest=without_secrets(found.manifest).declared(),
        effective_digest=found.effective_digest,
    )


def _declaration(shown: ManifestInForce) -> Declaration:
    manifest = model_of(str(shown.manifest.get("kind")), shown.manifest).model_validate(
        shown.manifest
    )
    return Declaration(
        manifest,
        resolve_paths(manifest, shown.base),
        shown.digest,
        shown.effective_digest,
        shown.file,
        shown.line,
        shown.base,
    )
