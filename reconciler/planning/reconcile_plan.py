"""The plan: one step for each collector, which makes the running collectors equal to the desired
ones. It is printed, applied and counted in this form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler.planning.desired_state import Desired, DesiredCollector
from reconciler.planning.field_changes import FieldChange, changes, consequences
from reconciler.planning.renames import Rename


class Start(Struct, frozen=True):
    """A collector that should run and does not. `changes` are the fields that differ from the
    defaults; `consequences`: see `Replace`."""

    name: str
    reason: str
    changes: tuple[FieldChange, ...] = ()
    consequences: tuple[str, ...] = ()


class Replace(Struct, frozen=True):
    """A collector that runs with another spec: the running session finishes its message, then the
    new spec starts. `consequences` are those for the mail: what is collected again or deleted."""

    name: str
    reason: str
    changes: tuple[FieldChange, ...] = ()
    consequences: tuple[str, ...] = ()


class Stop(Struct, frozen=True):
    """A collector that runs and should not: it finishes its message. `becomes` is the name under
    which its history goes on; "" where it does not."""

    name: str
    reason: str
    becomes: str = ""


class Keep(Struct, frozen=True):
    """A collector that stays as it is: it runs with this spec already, or neither runs nor
    should."""

    name: str
    reason: str


class Hold(Struct, frozen=True):
    """A collector whose change is held back: `reason` says what has to happen first."""

    name: str
    reason: str


_GONE = "declared no longer"
Step = Start | Replace | Stop | Keep | Hold


class Plan(Struct, frozen=True):
    """One step for each collector that was looked at, sorted by name."""

    steps: tuple[Step, ...] = ()

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change what runs."""
        return tuple(step for step in self.steps if isinstance(step, Start | Replace | Stop))

    def count(self) -> dict[str, int]:
        """Return how many steps there are of each kind."""
        return dict(Counter(type(step).__name__ for step in self.steps))


def plan_some(
    desired: Desired, actual: Mapping[str, DesiredCollector], names: Iterable[str]
) -> Plan:
    """Return the plan for these names alone: each is desired, or declared no longer."""
    return Plan(
        tuple(
            _step(desired.collectors[name], actual.get(name), None)
            if name in desired.collectors
            else Stop(name, _GONE)
            for name in sorted(names)
            if name in desired.collectors or name in actual
        )
    )


def plan(desired: Desired, actual: Mapping[str, DesiredCollector]) -> Plan:
    """Return the plan. `actual` are the running collectors, each as it runs."""
    renames, becomes = desired.renames, desired.becomes
    steps = [
        _step(collector, running, renames.get(name))
        if (running := actual.get(name)) is not collector or collector.problem
        else Keep(name, "unchanged")  # the very same object: nearly all of them, nearly always
        for name, collector in desired.collectors.items()
    ]
    steps.extend(_invalid(desired, actual))
    steps.extend(
        Stop(name, f"renamed to {becomes[name]}", becomes[name])
        if name in becomes
        else Stop(name, _GONE)
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
        return Keep(name, refusal) if collector.may_run else Hold(name, refusal)
    if running is None:
        means = (rename.consequence(name),) if rename else ()
        return Start(
            name, problem.message if problem else "declared", changes(None, collector), means
        )
    if collector.held and problem and running.effective_digest == collector.effective_digest:
        return Hold(name, problem.message)
    renamed = rename is not None and bool(rename.old)
    if renamed or running.effective_digest != collector.effective_digest:
        return _replaced(collector, running, rename if renamed else None)
    return Keep(name, problem.message if problem else "unchanged")


def _replaced(
    collector: DesiredCollector, running: DesiredCollector, rename: Rename | None
) -> Replace:
    """Return the step to another spec. `rename`: the collector has another one's history now."""
    name = collector.name
    return Replace(
        name,
        f"{rename.old} is called {name} now" if rename else _cause(running, collector),
        changes(running, collector),
        (rename.consequence(name),) if rename else consequences(running, collector),
    )


def _cause(running: DesiredCollector, collector: DesiredCollector) -> str:
    before, after = running.origin, collector.origin
    if before is None or after is None or before.template_digest == after.template_digest:
        return "its spec or destination changed"
    if before.template != after.template:
        return f"its template is {after.template}, no longer {before.template}"
    also = "" if before.own_digest == after.own_digest else "its spec and "
    return f"{also}its template {after.template} changed"


def _refusal(collector: DesiredCollector) -> str:
    """Return why this collector shall not run; "" where it shall."""
    if not collector.may_run:
        assert collector.problem is not None  # noqa: S101  # it says why
        return collector.problem.message
    return "" if collector.effective.enabled else "disabled"


def _invalid(desired: Desired, actual: Collection[str]) -> Iterator[Step]:
    for name, found in desired.invalid.items():
        yield (
            Keep(name, found.problem.message)
            if name in actual
            else Hold(name, found.problem.message)
        )
