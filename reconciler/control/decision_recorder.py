"""Decides which collectors run, and records that in the ledger before anything runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.control.defect_isolation import isolate
from reconciler.control.last_good import recall_last_good
from reconciler.control.loop_state import CollectorVersion
from reconciler.control.observation import ManifestDirectory, Observation
from reconciler.log import log
from reconciler.manifests.defect_text import place_of
from reconciler.model.errors import CollectorError
from reconciler.model.history import Declaring, History
from reconciler.model.interfaces import Registry
from reconciler.planning.desired_state import Desired, DesiredCollector, desire
from reconciler.planning.incremental import desire_incrementally, difference
from reconciler.planning.observed_manifests import (
    Declaration,
    Key,
    ObservedManifests,
    last_good_changes,
)
from reconciler.planning.renames import Rename

EXPIRE = 6 * 3600.0
"""Seconds between two removals of old rows from the ledger."""


class Decision(Struct, frozen=True):
    """What one turn found and recorded.

    `versions` are those of all collectors that may run; `fresh` ones count as new. `recalled` are
    the histories of collectors that came back. `changed`: only these collectors differ from the
    decision before; None: anything may.
    """

    observation: Observation
    desired: Desired
    versions: Mapping[str, CollectorVersion]
    recalled: Mapping[str, History]
    changed: frozenset[str] | None = None


class DecisionRecorder:
    """Decides, and records what was decided. Blocking; one call at a time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._last_good: dict[Key, Declaration] = {}
        self._declared: dict[str, tuple[str, int]] = {}
        """Digest and generation by name. The digest is "" before the collector is declared in this
        process."""
        self._generations: dict[str, int] = {}
        """Generations as they were before this process, by name."""
        self._given: dict[str, CollectorVersion] = {}
        """The versions that were decided on last, by name; not fresh any more."""
        self._expired: float | None = None

    def require_ledger(self) -> None:
        """Raise LedgerUnavailable where somebody removed, replaced or cut the ledger."""
        self._registry.require_whole()

    def recall(self) -> Mapping[str, History]:
        """Read what earlier processes recorded, and return the histories by name."""
        self._last_good = recall_last_good(self._registry.last_good())
        histories = self._registry.histories()
        self._generations = {
            name: history.declared.generation for name, history in histories.items()
        }
        self._declared = {name: ("", generation) for name, generation in self._generations.items()}
        return histories

    def decide(
        self,
        observation: Observation,
        now: datetime,
        removed: frozenset[str] = frozenset(),
        before: Decision | None = None,
        running: frozenset[str] = frozenset(),
    ) -> Decision:
        """Find what shall run, and record it before anything runs.

        `removed`: collectors that somebody removed on purpose. `before`: the last decision, if it
        was carried out. `running`: collectors that run, or whose last session is not over. A
        manifest that a defect keeps from being recorded keeps none of the others from running.
        Raises LedgerUnavailable.
        """
        try:
            return self._decide(observation, now, removed, before, running)
        except CollectorError:
            raise
        except Exception as defect:
            suspects = [
                found
                for found in observation.observed.declarations
                if self._last_good.get(found.key) != found
            ]
            if not suspects:
                raise
            log.exception(
                "a defect while manifests are recorded",
                defect=place_of(defect),
                suspects=len(suspects),
            )
            return isolate(
                observation, suspects, lambda part: self._decide(part, now, removed, None, running)
            )

    def _decide(
        self,
        observation: Observation,
        now: datetime,
        removed: frozenset[str],
        before: Decision | None,
        running: frozenset[str],
    ) -> Decision:
        observed = replace(observation.observed, removed=removed)
        if (
            before is not None
            and (decision := self._decide_some(observation, observed, now, before)) is not None
        ):
            return decision
        desired = desire(
            replace(observed, ending=running),
            self._last_good,
            {name: version.collector for name, version in self._given.items()},
        )
        self._rename(desired.renames)
        waiting = {name for name, rename in desired.renames.items() if rename.awaits}
        collectors = {
            name: found for name, found in desired.collectors.items() if name not in waiting
        }
        returned = [name for name in collectors if name not in self._declared]
        self._declare(collectors.values(), now)
        self._save_last_good(self._last_good, desired.good, now)
        self._last_good = dict(desired.good)
        recalled = self._registry.histories(returned) if returned else {}
        versions = {name: self._version(collector) for name, collector in collectors.items()}
        return Decision(observation, desired, versions, recalled)

    def _decide_some(
        self, observation: Observation, observed: ObservedManifests, now: datetime, before: Decision
    ) -> Decision | None:
        """Return the same at the cost of what changed; None where that is more than some
        collectors."""
        found = difference(before.observation.observed, observed, before.desired.good)
        desired = None if found is None else desire_incrementally(before.desired, observed, found)
        if desired is None or found is None:
            return None
        collectors = [desired.collectors[one.name] for one in found.changed]
        returned = [one.name for one in collectors if one.name not in self._declared]
        self._declare(collectors, now)
        changed = {one.key: one for one in found.changed}
        gone = [("MailCollector", name) for name in found.gone]
        known = {key: self._last_good[key] for key in (*changed, *gone) if key in self._last_good}
        self._save_last_good(known, changed, now)
        self._last_good.update(changed)
        for key in gone:
            self._last_good.pop(key, None)
        recalled = self._registry.histories(returned) if returned else {}
        versions = {**before.versions, **{one.name: self._version(one) for one in collectors}}
        for name in found.gone:
            versions.pop(name, None)
        names = frozenset({*found.gone, *(one.name for one in collectors)})
        return Decision(observation, desired, versions, recalled, names)

    def _save_last_good(
        self, before: Mapping[Key, Declaration], good: Mapping[Key, Declaration], now: datetime
    ) -> None:
        changed, gone = last_good_changes(before, good)
        if changed or gone:
            self._registry.save_last_good(changed, gone, now)

    def _rename(self, renames: Mapping[str, Rename]) -> None:
        """Give the histories of renamed collectors to their new names, if the old ones have
        ended."""
        renamed = {
            rename.old: name for name, rename in renames.items() if rename.old and not rename.awaits
        }
        if not renamed:
            return
        declared = {rename.old: rename.declared_before for rename in renames.values()}
        done = self._registry.rename(
            renamed, {old: digest for old, digest in declared.items() if digest}
        )
        for old, new in renamed.items():
            if old not in done:
                log.warning(
                    "the history does not go on under the new name, for that has one of its own",
                    collector=new,
                    renamed_from=old,
                )
                continue
            self._declared.pop(old, None)
            self._generations.pop(old, None)
            self._given.pop(old, None)

    def no_longer_declared(self, desired: Desired) -> list[str]:
        """Return the collectors that are recorded as declared and are declared no longer."""
        awaited = {rename.old for rename in desired.renames.values() if rename.awaits}
        return [
            name
            for name in self._declared
            if name not in desired.collectors
            and name not in desired.invalid
            and name not in awaited
        ]

    def retire(self, names: Sequence[str], now: datetime) -> Mapping[str, Exception | None]:
        """Retire these collectors; return by name the defect that kept one from being retired, or
        None. Raises LedgerUnavailable."""
        return {name: self._retire(name, now) for name in names}

    def _retire(self, name: str, now: datetime) -> Exception | None:
        try:
            self._registry.retire(name, now)
        except CollectorError:
            raise
        except Exception as defect:  # noqa: BLE001
            # the others are retired all the same; the controller logs this one
            return defect
        del self._declared[name]
        self._generations.pop(name, None)
        self._given.pop(name, None)
        return None

    def expire(self, now: datetime) -> None:
        """Remove old rows from the ledger, every `EXPIRE` seconds."""
        if self._expired is None or time.monotonic() - self._expired > EXPIRE:
            self._registry.expire(now)
            self._expired = time.monotonic()

    def _declare(self, collectors: Iterable[DesiredCollector], now: datetime) -> None:
        """Record the collectors as declared, in one transaction."""
        unknown = ("", 0)
        changed = [
            Declaring(collector.name, collector.digest, collector.spec.collect.mode)
            for collector in collectors
            if self._declared.get(collector.name, unknown)[0] != collector.digest
        ]
        declared = self._registry.declare_all(changed, now) if changed else {}
        self._declared.update(
            (one.name, (one.digest, declared[one.name].generation)) for one in changed
        )

    def _version(self, collector: DesiredCollector) -> CollectorVersion:
        """Return the version to run: the same object as the last time, where nothing changed."""
        name, generation = collector.name, self._declared[collector.name][1]
        given = self._given.get(name)
        if given is not None and given.collector is collector and given.generation == generation:
            return given
        before = given.generation if given else self._generations.get(name, 0)
        fresh = generation != before or (
            given is not None and given.collector.effective_digest != collector.effective_digest
        )
        self._given[name] = CollectorVersion(collector, generation)
        return CollectorVersion(collector, generation, fresh=True) if fresh else self._given[name]


def decide_once(
    registry: Registry, directory: ManifestDirectory, now: datetime
) -> tuple[Decision, Mapping[str, History]]:
    """Look at the directory and record what is declared, as the daemon does before it runs
    anything.

    Return the decision, and the histories of the collectors by name. Raises LedgerUnavailable.
    """
    recorder = DecisionRecorder(registry)
    recorder.recall()
    decision = recorder.decide(directory.observe(everything=True), now)
    for defect in filter(
        None, recorder.retire(recorder.no_longer_declared(decision.desired), now).values()
    ):
        log.error("defect", doing="retiring a collector", where=place_of(defect))
    return decision, registry.histories(decision.desired.collectors)
