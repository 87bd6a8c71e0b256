"""What follows from what is seen, where this or that was good before, as a table.

`plan_table.txt` has for each pair the steps of the plan, what is held, broken, renamed and
remembered, and what follows in the next turn. `python -m tests.planning.plan_table` writes it anew:
read the difference, each line of it is a change of behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reconciler.planning.desired_state import Desired, desire
from reconciler.planning.observed_manifests import (
    Declaration,
    ObservedManifests,
    last_good_changes,
)
from reconciler.planning.reconcile_plan import Keep, Replace, Start, Step, Stop, plan
from tests.planning.build import BASE, broken, collector, destination, observed

TABLE = Path(__file__).with_suffix(".txt")


def account(name: str, user: str = "", **spec: Any) -> Declaration:
    """Return a collector; two of the same `user` differ in nothing but their names."""
    user = user or name
    source = {
        "protocol": "imap",
        "host": "imap.example",
        "username": user,
        "password": {"file": "secret"},
    }
    recipient = {"forwardTo": f"{user}@local.example"}
    return collector(name, **{"source": source, "recipient": recipient, **spec})


A, B, C = account("a"), account("b"), account("c")
TO_X = account("c", destination="x")
LOCAL = destination("local", default=True, maildir={"path": "mail/{local}"})
ELSEWHERE = destination("local", default=True, maildir={"path": "elsewhere/{local}"})
OTHER = destination("other", default=True, lmtp={"socket": "/run/lmtp"})
X = destination("x", maildir={"path": "x/{local}"})
KEY_A, KEY_B = ("MailCollector", "a"), ("MailCollector", "b")

BEFORE: Mapping[str, tuple[Declaration, ...]] = {
    "nothing": (),
    "a": (A,),
    "a, b": (A, B),
    "a, b, local": (A, B, LOCAL),
    "a, b, c to x, local, x": (A, B, TO_X, LOCAL, X),
    "a, b disabled, c": (A, account("b", enabled=False), C),
}

SEEN: Mapping[str, ObservedManifests] = {
    "a": observed(A),
    "a, b": observed(A, B),
    "a, b, c": observed(A, B, C),
    "c": observed(C),
    "a, b, from another file": observed(A, replace(B, file=f"{BASE}/b2.yaml", line=7)),
    "nothing": observed(),
    "nothing, and that is meant": observed(empty_confirmed=True),
    "nothing, somebody removed a": observed(removed=frozenset("a")),
    "nothing, somebody removed a and b": observed(removed=frozenset("ab")),
    "the directory vanished": ObservedManifests(vanished="no such directory"),
    "the directory vanished, b was removed": ObservedManifests(
        vanished="no such directory", removed=frozenset("b")
    ),
    "a, b broken": observed(A, broken=(broken("b"),)),
    "a, b broken and valid": observed(A, B, broken=(broken("b"),)),
    "a and b broken": observed(broken=(broken("a"), broken("b"))),
    "a, b, d broken": observed(A, B, broken=(broken("d"),)),
    "a file is unreadable": observed(B, unreadable={f"{BASE}/a.yaml": "permission denied"}),
    "all is unreadable": observed(unreadable={BASE: "permission denied"}),
    "a file is unclear": observed(B, unclear={f"{BASE}/a.yaml": "a.yaml:2:1: tab"}),
    "a, b leaving": observed(A, leaving=frozenset({KEY_B})),
    "a, b leaving and removed": observed(A, leaving=frozenset({KEY_B}), removed=frozenset("b")),
    "a and b leaving": observed(leaving=frozenset({KEY_A, KEY_B})),
    "a, b ending": observed(A, ending=frozenset("b")),
    "a, b for others": observed(A, account("b", recipient={"forwardTo": "z@local.example"})),
    "a, b of another account": observed(A, account("b", "z")),
    "a, b that deletes": observed(A, account("b", collect={"mode": "all-delete"})),
    "a, b disabled": observed(A, account("b", enabled=False)),
    "a, b with a title": observed(A, account("b", title="B")),
    "a, b to x": observed(A, account("b", destination="x"), LOCAL, X),
    "a, b to nowhere": observed(A, account("b", destination="nowhere"), LOCAL),
    "b is called n": observed(A, account("n", "b")),
    "b is called n, with a title": observed(A, account("n", "b", title="N")),
    "b is called n, for others": observed(
        A, account("n", "b", recipient={"forwardTo": "z@local.example"})
    ),
    "b is called n, and ends": observed(A, account("n", "b"), ending=frozenset("b")),
    "b is called n, and leaves": observed(A, account("n", "b"), leaving=frozenset({KEY_B})),
    "b is called n, which is disabled": observed(A, account("n", "b", enabled=False)),
    "b is called n or m": observed(A, account("n", "b"), account("m", "b")),
    "b is called n, m is much like it": observed(
        A, account("n", "b"), account("m", "b", collect={"mode": "all-delete"})
    ),
    "b is called n, a is gone": observed(account("n", "b")),
    "a and b are called n and m": observed(account("n", "a"), account("m", "b")),
    "a is called b": observed(account("b", "a")),
    "a and b are exchanged": observed(account("a", "b"), account("b", "a")),
    "a and b are exchanged, b ends": observed(
        account("a", "b"), account("b", "a"), ending=frozenset("b")
    ),
    "a is called b, b is called n": observed(account("b", "a"), account("n", "b")),
    "a is called b, b is called n, b ends": observed(
        account("b", "a"), account("n", "b"), ending=frozenset("b")
    ),
    "a is called b, b is called n, a leaves": observed(
        account("b", "a"), account("n", "b"), leaving=frozenset({KEY_A})
    ),
    "both are a": observed(A, account("b", "a")),
    "a, b, local": observed(A, B, LOCAL),
    "a, b, local elsewhere": observed(A, B, ELSEWHERE),
    "a, b, local elsewhere, and that is meant": observed(A, B, ELSEWHERE, reroute_confirmed=True),
    "a, b, another default": observed(A, B, OTHER),
    "a, b, c new, another default": observed(A, B, C, OTHER),
    "a, another default": observed(A, OTHER),
    "a, b broken, another default": observed(A, OTHER, broken=(broken("b"),)),
    "a, b, local broken": observed(A, B, broken=(broken("local", "Destination"),)),
    "a, b, local broken, another default": observed(
        A, B, OTHER, broken=(broken("local", "Destination"),)
    ),
    "a, b, x only": observed(A, B, X),
    "a, b, c to x, local": observed(A, B, TO_X, LOCAL),
    "a, b, c to x, nothing declared": observed(A, B, TO_X),
    "a, b, local leaves": observed(A, B, leaving=frozenset({("Destination", "local")})),
    "a, b, local, unreadable": observed(
        A, B, unreadable={f"{BASE}/local.yaml": "permission denied"}
    ),
}


def lines(*before: str) -> Iterator[str]:
    for known in before or BEFORE:
        start = desire(observed(*BEFORE[known]), {})
        found: dict[tuple[str, ...], list[str]] = {}
        for name, seen in SEEN.items():
            found.setdefault(tuple(_turns(start, seen)), []).append(name)
        for told, names in found.items():
            yield f"== {known} → {' · '.join(names)}"
            yield from (f"  {line}" for line in told)


def _turns(start: Desired, seen: ObservedManifests) -> Iterator[str]:
    first = desire(seen, start.good, start.collectors)
    yield from _told(start, first)
    settled = replace(seen, leaving=frozenset(), ending=frozenset())
    then = desire(settled, first.good, first.collectors)
    if more := [line for line in _told(first, then) if not line.startswith("kept ")]:
        yield "then:"
        yield from (f"  {line}" for line in more)


def _told(before: Desired, now: Desired) -> Iterator[str]:
    """Yield what changes from one turn to the next, and what is not as declared."""
    running = {name: one for name, one in before.collectors.items() if one.effective.enabled}
    for step in plan(now, running).steps:
        if not isinstance(step, Keep) or step.reason != "unchanged":
            yield from _step(step)
    for name, one in sorted(now.collectors.items()):
        if one.problem is not None:
            held = ", held" if one.held else ""
            yield f"{name}: {one.problem.reason}{held}{'' if one.may_run else ', does not run'}"
        if name in before.collectors and before.collectors[name].destination != one.destination:
            yield f"{name}: its mail goes to {one.destination_name}"
        if name in before.collectors and before.collectors[name].source != one.source:
            yield f"{name}: declared in {one.source}"
    yield from (f"{one.name}: never valid, {one.source}" for one in now.invalid.values())
    for name, rename in sorted(now.renames.items()):
        yield f"{name} was {rename.old or '/'.join(rename.alike)}{', waits' * rename.awaits}"
    if now.rerouting:
        yield "the change of the default destination is held"
    changed, gone = last_good_changes(before.good, now.good)
    if changed or gone:
        yield (
            f"remembered: {' '.join(sorted(one.name for one in changed))}; "
            f"forgotten: {' '.join(sorted(name for _, name in gone))}"
        )
    kept = " ".join(f"{name}@{one.file}" for (_, name), one in sorted(now.good.items()))
    yield f"kept {kept.replace(f'{BASE}/', '')}"


def _step(step: Step) -> Iterator[str]:
    becomes = f" → {step.becomes}" if isinstance(step, Stop) and step.becomes else ""
    yield f"{type(step).__name__} {step.name}{becomes}: {step.reason}"
    if isinstance(step, Start | Replace):
        if isinstance(step, Replace):
            yield from (f"  {change}" for change in step.changes)
        yield from (f"  {consequence}" for consequence in step.consequences)


if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in lines()))
