"""Finds the manifests that cause a defect of this program, so that all others are acted upon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from msgspec.structs import replace

from reconciler.control.observation import Observation
from reconciler.manifests.defect_text import place_of
from reconciler.manifests.diagnostics import Diagnostic, Severity, in_order
from reconciler.model.errors import CollectorError
from reconciler.planning.observed_manifests import BrokenManifest, Declaration, Key

MOST_ATTEMPTS = 200
"""Manifests that are found one by one; after them, all suspects count as found."""

R = TypeVar("R")


def isolate(
    observation: Observation, suspects: Sequence[Declaration], act: Callable[[Observation], R]
) -> R:
    """Act on `observation` with as many of `suspects` as can be acted upon. The others count as
    broken and get a diagnostic.

    The suspects are tried by halves. Raises every CollectorError of `act`, and what `act` raises
    without any of the suspects.
    """
    culprits: dict[Key, str] = {}
    accepted: set[Key] = set()
    groups, attempts = [list(suspects)], 0
    everyone = {found.key for found in suspects}
    act(without(observation, dict.fromkeys(everyone, "")))  # if that fails, it is for none of them
    while groups:
        group = groups.pop()
        keys = {found.key for found in group}
        defect = (
            None
            if attempts > MOST_ATTEMPTS
            else _attempt(observation, everyone - accepted - keys, act)
        )
        attempts += 1
        if attempts <= MOST_ATTEMPTS and defect is None:
            accepted |= keys
        elif len(group) > 1 and attempts <= MOST_ATTEMPTS:
            groups += [group[len(group) // 2 :], group[: len(group) // 2]]
        else:
            culprits |= dict.fromkeys(keys, place_of(defect) if defect else "see the others")
    return act(without(observation, culprits))


def _attempt(
    observation: Observation, left_out: AbstractSet[Key], act: Callable[[Observation], object]
) -> Exception | None:
    try:
        act(without(observation, dict.fromkeys(left_out, "")))
    except CollectorError:
        raise
    except Exception as defect:  # noqa: BLE001  # told by `without`
        return defect
    return None


def without(observation: Observation, culprits: dict[Key, str]) -> Observation:
    """Return `observation` as if these declarations were broken. `culprits` says why, by key."""
    observed = observation.observed
    broken = [found for found in observed.declarations if found.key in culprits]
    messages = {
        found.key: f"mailcollector fails to act on this manifest, which is a defect of its own "
        f"({culprits[found.key]}): please report it; its last good version runs on"
        for found in broken
    }
    diagnostics = (
        Diagnostic(found.file, found.line, 1, "", "internal", Severity.ERROR, messages[found.key])
        for found in broken
    )
    return replace(
        observation,
        diagnostics=tuple(in_order([*observation.diagnostics, *diagnostics])),
        observed=replace(
            observed,
            broken=(*observed.broken, *_broken(broken, messages)),
            declarations=tuple(
                found for found in observed.declarations if found.key not in culprits
            ),
        ),
    )


def _broken(found: Iterable[Declaration], messages: dict[Key, str]) -> Iterable[BrokenManifest]:
    return (
        BrokenManifest(one.kind, one.name, one.file, one.line, f"{one.source}: {messages[one.key]}")
        for one in found
    )
