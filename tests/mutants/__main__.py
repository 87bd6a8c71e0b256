"""`make mutants`: a random sample of small changes, the tests near each, and a score.

ARGS="--number 150 --seed 7 --area ledger --area planning": those only; ARGS="--module
reconciler/ledger/lease.py": one module. `--all` takes every change instead of a sample, `--again`
those that no test noticed when they were tried last."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.mutants.checkout_copy import ROOT, CheckoutCopy, TestRunner
from tests.mutants.mutations import Mutation, mutations
from tests.mutants.near_tests import AREAS, NearTests
from tests.mutants.type_check import type_error

RECORDED = ROOT / ".mutants" / "recorded.json"
"""What was recorded, by file of tests."""
SURVIVORS = ROOT / ".mutants" / "survivors.json"
TYPES = ROOT / ".mutants" / "mypy"
UNNOTICEABLE = Path(__file__).parent / "unnoticeable.toml"
_SLACK = 30.0
"""Seconds that a run may take beyond three times what its tests took before: a change may make it
wait for ever, which is noticed."""


def main() -> int:
    options = _options()
    os.nice(options.nice)
    areas = options.area or list(AREAS)
    candidates = [
        mutation
        for area in areas
        for pattern in AREAS[area][0]
        for path in sorted(ROOT.glob(pattern))
        for mutation in mutations(ROOT, str(path.relative_to(ROOT)))
        if not options.module or mutation.path in options.module
    ]
    chosen = _chosen(candidates, options)
    print(f"{len(chosen)} of {len(candidates)} changes, seed {options.seed}", flush=True)
    excused = _excused(candidates)
    with tempfile.TemporaryDirectory() as directory:
        copies = [CheckoutCopy(Path(directory) / str(number)) for number in range(options.workers)]
        recorded = _recorded(areas, copies[0], options.record)
        survivors = _all_runs(chosen, NearTests(recorded), copies, options, areas)
    known = _survivors() - {(one.place, one.change) for one in chosen}
    known |= {(one.place, one.change) for one in survivors}
    SURVIVORS.write_text(json.dumps(sorted(known), indent=1, ensure_ascii=False))
    unnoticeable = [one for one in survivors if (one.place, one.change) in excused]
    noticed = len(chosen) - len(survivors)
    print(
        f"score {100 * noticed / max(1, len(chosen)):.0f} %: {noticed} of {len(chosen)} noticed, "
        f"{len(unnoticeable)} cannot be, {len(survivors) - len(unnoticeable)} open"
    )
    return 0


def _chosen(candidates: list[Mutation], options: argparse.Namespace) -> list[Mutation]:
    if options.again:
        known = _survivors()
        return [one for one in candidates if (one.place, one.change) in known]
    if options.all:
        return candidates
    number = min(options.number, len(candidates))
    return random.Random(options.seed).sample(candidates, number)


def _all_runs(
    chosen: list[Mutation],
    tests: NearTests,
    copies: list[CheckoutCopy],
    options: argparse.Namespace,
    areas: list[str],
) -> list[Mutation]:
    """Try every change, print what came of it, and return those that no test noticed."""
    left: SimpleQueue[Mutation] = SimpleQueue()
    for mutation in chosen:
        left.put(mutation)
    survivors: list[Mutation] = []
    folders = [folder for area in areas for folder in AREAS[area][1]]

    def work(copy: CheckoutCopy) -> None:
        with copy.runner(folders) as runner:
            while not left.empty():
                mutation = left.get()
                if not _is_noticed(mutation, tests, runner, copy.path, options.seconds):
                    survivors.append(mutation)
                    source = (copy.path / mutation.path).read_bytes()
                    print(f"{mutation.place}\n{mutation.diff(source)}", flush=True)

    with ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(work, copies))
    return survivors


def _is_noticed(
    mutation: Mutation, tests: NearTests, runner: TestRunner, checkout: Path, limit: float
) -> bool:
    near, seconds = tests.of(mutation, limit)
    began = time.monotonic()
    failed = runner.run(mutation, near, 3 * seconds + _SLACK) if near else ""
    if failed == "":
        failed = type_error(mutation, checkout, TYPES)
    took = f"{len(near)} tests, {time.monotonic() - began:.1f} s"
    said = {"": "SURVIVED", None: "endless "}.get(failed, "noticed ")
    print(
        f"{said} {mutation.path}:{mutation.line} {mutation.what} ({took}) {failed or ''}",
        flush=True,
    )
    return failed != ""


def _recorded(areas: Iterable[str], copy: CheckoutCopy, anew: bool) -> dict[str, Any]:
    """Return what the tests near these areas enter. Of a file that changed since that was found
    out, the tests that are new are run first."""
    kept = {} if anew else _kept()
    for area in areas:
        digests = {
            name: hashlib.sha256((copy.path / name).read_bytes()).hexdigest()
            for name in _test_files(area, copy)
        }
        changed = [name for name, now in digests.items() if kept.get(name, {}).get("digest") != now]
        if changed:
            print(f"recording {len(changed)} files of tests near {area} …", flush=True)
            before = {name: kept.get(name, {}).get("tests", {}) for name in changed}
            found = copy.record(changed, [test for known in before.values() for test in known])
            for name in changed:
                of_file = {
                    test: one or before[name][test]
                    for test, one in found.items()
                    if test.startswith(f"{name}::")
                }
                kept[name] = {"digest": digests[name], "tests": of_file}
            RECORDED.parent.mkdir(exist_ok=True)
            RECORDED.write_text(json.dumps(_kept() | kept))
    wanted = {name for area in areas for name in _test_files(area, copy)}
    return {test: one for name in wanted for test, one in kept[name]["tests"].items()}


def _kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return found


def _test_files(area: str, copy: CheckoutCopy) -> list[str]:
    found: set[Path] = set()
    for name in AREAS[area][1]:
        path = copy.path / name
        found.update(path.rglob("test_*.py") if path.is_dir() else [path])
    return sorted(str(path.relative_to(copy.path)) for path in found)


def _survivors() -> set[tuple[str, str]]:
    """Return the places and changes that no test noticed when they were tried last."""
    if not SURVIVORS.exists():
        return set()
    return {(place, change) for place, change in json.loads(SURVIVORS.read_text())}


def _excused(candidates: Iterable[Mutation]) -> set[tuple[str, str]]:
    """Return the changes that nobody could notice, and tell which of them are no longer there."""
    excused = {
        (one["at"], one["change"])
        for one in tomllib.loads(UNNOTICEABLE.read_text())["unnoticeable"]
    }
    present = {(one.place, one.change) for one in candidates}
    paths = {one.path for one in candidates}
    for place, change in sorted(excused - present):
        if place.partition(":")[0] in paths:
            print(f"{UNNOTICEABLE.name}: no longer there: {place}: {change}")
    return excused


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--area", action="append", choices=[*AREAS])
    parser.add_argument("--module", action="append", help="a path, as reconciler/ledger/lease.py")
    parser.add_argument("--all", action="store_true", help="every change")
    parser.add_argument("--again", action="store_true", help="what no test noticed the last time")
    parser.add_argument("--seconds", type=float, default=20.0, help="of tests for each change")
    parser.add_argument("--record", action="store_true", help="which test enters what, anew")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nice", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
