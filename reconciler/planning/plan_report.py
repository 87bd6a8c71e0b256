"""The plan as plain data, with what each step means for the mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from reconciler.model.timestamps import moment
from reconciler.planning.field_changes import FieldChange
from reconciler.planning.reconcile_plan import Plan, Replace, Start, Step, Stop


def plan_as_data(plan: Plan, remembered: Mapping[str, int], until: datetime) -> dict[str, Any]:
    """Return the plan as data of JSON. `remembered`: how many messages the ledger remembers of each
    collector; `until`: when the history of what is removed now ends."""
    return {
        "changed": bool(plan.changes),
        "counts": plan.count(),
        "steps": [_step(step, remembered, until) for step in plan.steps],
    }


def _step(step: Step, remembered: Mapping[str, int], until: datetime) -> dict[str, Any]:
    return {
        "step": type(step).__name__,
        "name": step.name,
        "reason": step.reason,
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after}
            for change in fields_of(step)
        ],
        "consequences": list(meaning_of(step, remembered, until)),
    }


def fields_of(step: Step) -> tuple[FieldChange, ...]:
    """Return the fields that a step changes."""
    return step.changes if isinstance(step, Start | Replace) else ()


def meaning_of(step: Step, remembered: Mapping[str, int], until: datetime) -> Iterator[str]:
    """Yield sentences about what a step means for the mail."""
    if isinstance(step, Start | Replace):
        yield from step.consequences
    if isinstance(step, Stop) and not step.becomes:
        count = remembered.get(step.name, 0)
        kept = (
            "while it is declared"
            if step.reason == "disabled"
            else f"until {moment(until)} if it is removed now"
        )
        yield f"its history ({count:,} messages remembered) is kept {kept}"
