"""The plan: what to do, by name, so that what runs is what is desired. Printed, applied and counted
as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler.planning.changes import Change, changes, consequences
from reconciler.planning.desired_state import Desired, DesiredCollector
from reconciler.planning.renames import Rename


class Start(Struct, frozen=True):
    """Nothing runs, and it shall. `changes` are what its manifest says beyond the defaults;
    `consequences`: see `Replace`."""

    name: str
    reason: str
    changes: tuple[Change, ...] = ()
    consequences: tuple[str, ...] = ()


class Replace(Struct, frozen=True):
    """It runs with another spec: that one finishes its message, then this one starts.
    `consequences` are those for the mail: what is collected again or deleted."""

    name: str
    reason: str
    changes: tuple[Change, ...] = ()
    consequences: tuple[str, ...] = ()


class Stop(Struct, frozen=True):
    """It runs, and shall not: it finishes its message. `becomes`: under which name its history goes
    on."""

    name: str
    reason: str
    becomes: str = ""


class Keep(Struct, frozen=True):
    """It stays as it is: running with this very spec, or not running and not meant to."""

    name: str
    reason: str


class Hold(Struct, frozen=True):
    """A change that is held back: `reason` says what has to happen first."""

    name: str
    reason: str


Step = Start | Replace | Stop | Keep | Hold


class Plan(Struct, frozen=True):
    """One step for each collector that was looked at, by name."""

    steps: tuple[Step, ...] = ()

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if isinstance(step, Start | Replace | Stop))

    def count(self) -> dict[str, int]:
        """How many steps of each sort."""
        return dict(Counter(type(step).__name__ for step in self.steps))


def plan_some(
    desired: Desired, actual: Mapping[str, DesiredCollector], names: Iterable[str]
) -> Plan:
    """The same for these names alone, all of them desired."""
    return Plan(
        tuple(_step(desired.collectors[name], actual.get(name), None) for name in sorted(names))
    )


def plan(desired: Desired, actual: Mapping[str, DesiredCollector]) -> Plan:
    """`actual`: the running collectors, each as it runs."""
    renames, becomes = desired.renames, desired.becomes
    steps = [
        _step(collector, running, renames.get(name))
        if (running := actual.get(name)) is not collector or collector.problem
        else Keep(name, "unchanged")  # the very same one: nearly all of them, nearly always
        for name, collector in desired.collectors.items()
    ]
    steps.extend(_invalid(desired, actual))
    steps.extend(
        Stop(name, f"renamed to {becomes[name]}", becomes[name])
        if name in becomes
        else Stop(name, "declared no longer")
        for name in actual
        if name not in desired.collectors and name not in desired.invalid
    )
    return Plan(tuple(sorted(steps, key=lambda step: step.name)))


def _step(
    collector: DesiredCollector, running: DesiredCollector | None, rename: Rename | None
) -> Step:
    name, problem = collector.name, collector.problem
    refusal = _refusal(collector)
    if refusal and running is not None:
        return Stop(name, refusal)
    if refusal:
        return Keep(name, refusal) if collector.supported else Hold(name, refusal)
    if running is None:
        means = (rename.consequence(name),) if rename else ()
        return Start(
            name, problem.message if problem else "declared", changes(None, collector), means
        )
    if collector.held and problem and running.effective_digest == collector.effective_digest:
        return Hold(name, problem.message)
    if running.effective_digest != collector.effective_digest:
        return Replace(
            name,
            _cause(running, collector),
            changes(running, collector),
            consequences(running, collector),
        )
    return Keep(name, problem.message if problem else "unchanged")


def _cause(running: DesiredCollector, collector: DesiredCollector) -> str:
    before, after = running.origin, collector.origin
    if before is None or after is None or before.template_digest == after.template_digest:
        return "its spec or destination changed"
    if before.template != after.template:
        return f"its template is {after.template}, no longer {before.template}"
    also = "" if before.own_digest == after.own_digest else "its spec and "
    return f"{also}its template {after.template} changed"


def _refusal(collector: DesiredCollector) -> str:
    """Why this collector shall not run; "" if it shall."""
    if not collector.supported and collector.problem:
        return collector.problem.message
    return "" if collector.effective.enabled else "disabled"


def _invalid(desired: Desired, actual: Collection[str]) -> Iterator[Step]:
    for name, found in desired.invalid.items():
        yield (
            Keep(name, found.problem.message)
            if name in actual
            else Hold(name, found.problem.message)
        )
