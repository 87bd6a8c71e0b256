"""What can be said of collectors while no daemon runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.collect.backoff import ends
from reconciler.control.conditions import Facts, shown
from reconciler.control.last_good import recall
from reconciler.control.observation import Directory
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.history import History, LastGood, Retry
from reconciler.model.spec import seconds
from reconciler.model.status import ShownCollector
from reconciler.planning.desired_state import Desired, DesiredCollector, Invalid, desire


class OfflineState(Struct, frozen=True):
    """One look at the directory, against what the ledger remembers."""

    desired: Desired
    diagnostics: Sequence[Diagnostic]
    revision: str | None


def find(directory: Directory, last_good: Sequence[LastGood]) -> OfflineState:
    """What is declared. Records nothing."""
    look = directory.look(everything=True)
    return OfflineState(desire(look.observed, recall(last_good)), look.diagnostics, look.revision)


def listed(found: OfflineState, histories: Mapping[str, History]) -> list[ShownCollector]:
    """The collectors as they are while no daemon runs, by name."""
    now = datetime.now(UTC)
    collectors: dict[str, DesiredCollector | Invalid] = {
        **found.desired.invalid,
        **found.desired.collectors,
    }
    shown_ones = []
    for name in sorted(collectors):
        history = histories.get(name)
        generation = history.declared.generation if history else 0
        last = history.last_session if history else None
        facts = Facts(
            collectors[name],
            generation,
            None,
            history.retry if history else None,
            last,
            last,
            revision=found.revision,
        )
        if history:
            facts = replace(facts, totals=history.totals)
        one = shown(facts, (), last.finished_at if last else now)
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


def _due(collector: DesiredCollector | Invalid, retry: Retry, now: datetime) -> datetime:
    if isinstance(collector, Invalid):
        return retry.next_attempt
    return ends(retry, seconds(collector.effective.collect.interval), now)
