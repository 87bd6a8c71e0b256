"""Views of a directory of manifests while no daemon runs: the status of its collectors, and the
plan that a daemon would carry out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reconciler.collect.backoff import end_time
from reconciler.control.conditions import CollectorFacts, show_collector
from reconciler.control.last_good import recall_last_good
from reconciler.control.observation import ManifestDirectory
from reconciler.control.service_pause import Pause
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.history import History, LastGood, Retry
from reconciler.model.interfaces import Registry
from reconciler.model.manifests_in_force import InForce
from reconciler.model.scalar_types import (
    seconds,
)
from reconciler.model.status import ShownCollector
from reconciler.planning.desired_state import Desired, DesiredCollector, InvalidCollector, desire
from reconciler.planning.plan_preview import describe_in_force, preview, relocate, would_run
from reconciler.planning.reconcile_plan import Plan


class OfflineState(Struct, frozen=True):
    """What one look at the directory found, compared with what the ledger remembers."""

    desired: Desired
    diagnostics: Sequence[Diagnostic]
    revision: str | None


def read_offline(directory: ManifestDirectory, last_good: Sequence[LastGood]) -> OfflineState:
    """Look at the directory and return what is declared. Nothing is recorded."""
    observation = directory.observe(everything=True)
    return OfflineState(
        desire(observation.observed, recall_last_good(last_good)),
        observation.diagnostics,
        observation.revision,
    )


def list_offline(
    found: OfflineState, histories: Mapping[str, History], pause: Pause | None = None
) -> list[ShownCollector]:
    """Return the collectors as they are while no daemon runs, sorted by name."""
    now = datetime.now(UTC)
    collectors: dict[str, DesiredCollector | InvalidCollector] = {
        **found.desired.invalid,
        **found.desired.collectors,
    }
    shown_ones = []
    for name in sorted(collectors):
        history = histories.get(name)
        generation = history.declared.generation if history else 0
        last = history.last_session if history else None
        facts = CollectorFacts(
            collectors[name],
            generation,
            None,
            history.retry if history else None,
            last,
            last,
            revision=found.revision,
            paused=pause.sentence if pause else "",
        )
        if history:
            facts = replace(facts, totals=history.totals)
        one = show_collector(facts, (), last.finished_at if last else now)
        if facts.retry is not None:
            one = one.model_copy(
                update={
                    "status": one.status.model_copy(
                        update={"next_session": _due(collectors[name], facts.retry, now)}
                    )
                }
            )
        shown_ones.append(one)
    return shown_ones


def _due(collector: DesiredCollector | InvalidCollector, retry: Retry, now: datetime) -> datetime:
    if isinstance(collector, InvalidCollector):
        return retry.next_attempt
    return end_time(retry, seconds(collector.effective.collect.interval), now)


class Proposal(Struct, frozen=True):
    """The plan of a daemon for these manifests. `diagnostics`: if one of them is an error, the
    plan says what is done nevertheless. `remembered`: how many messages the ledger remembers of
    each collector."""

    plan: Plan
    diagnostics: Sequence[Diagnostic]
    remembered: Mapping[str, int]


def propose(directory: ManifestDirectory, place: Path, now: InForce) -> Proposal:
    """Return what would be done if `directory` stood at `place`, where relative paths start. Raises
    ValueError where this version does not understand what is in force."""
    observation = directory.observe(everything=True)
    observed = relocate(observation.observed, str(directory.root), str(place.absolute()))
    return Proposal(preview(observed, now), observation.diagnostics, now.remembered)


def recall_in_force(registry: Registry) -> InForce:
    """Return the manifests that the ledger records as in force: a daemon that starts now continues
    with them."""
    good = recall_last_good(registry.last_good())
    remembered = {name: history.size for name, history in registry.histories().items()}
    return describe_in_force(good.values(), would_run(good), remembered)
