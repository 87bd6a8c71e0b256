"""What a directory of manifests would change, were it the one that is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reconciler.control.last_good import recall
from reconciler.control.observation import Directory
from reconciler.manifests.diagnostics import Diagnostic
from reconciler.model.in_force import InForce
from reconciler.model.interfaces import Registry
from reconciler.planning.plan_actions import Plan
from reconciler.planning.plan_preview import describe_in_force, proposed, relocated, would_run


class Proposal(Struct, frozen=True):
    """`diagnostics` are about the manifests; where one is an error, the plan says what is done all
    the same. `remembered`: the messages that the ledger remembers of each collector."""

    plan: Plan
    diagnostics: Sequence[Diagnostic]
    remembered: Mapping[str, int]


def propose(directory: Directory, place: Path, now: InForce) -> Proposal:
    """Read `directory` as if it stood at `place`, where relative paths start. Raises ValueError
    where this version does not understand what is in force."""
    look = directory.look(everything=True)
    observed = relocated(look.observed, str(directory.root), str(place.absolute()))
    return Proposal(proposed(observed, now), look.diagnostics, now.remembered)


def last_in_force(registry: Registry) -> InForce:
    """What the ledger remembers: what a daemon that starts now would go on with."""
    good = recall(registry.last_good())
    remembered = {name: history.size for name, history in registry.histories().items()}
    return describe_in_force(good.values(), would_run(good), remembered)
