"""`make mutants`: a random sample of small changes, the tests near each, and a score.

ARGS="--number 150 --seed 7 --area ledger --area planning": those only; ARGS="--module
reconciler/ledger/lease.py": one module. `--all` takes every change instead of a sample."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutants.mutations import Mutation, mutations

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".mutants"
"""What was recorded, by area."""
AREAS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "session": (
        ("reconciler/collect/**/*.py",),
        ("tests/collect", "tests/routing", "tests/control/test_check_requests.py"),
    ),
    "ledger": (
        ("reconciler/ledger/*.py", "reconciler/app/adapters.py"),
        ("tests/ledger", "tests/control/test_state_ownership.py"),
    ),
    "delivery": (("reconciler/destinations/**/*.py",), ("tests/destinations",)),
    "deletion": (
        (
            "reconciler/sources/imap/imap_deletion.py",
            "reconciler/sources/imap/uid_search.py",
            "reconciler/sources/pop3/pop3_deletion.py",
            "reconciler/sources/pop3/pop3_source.py",
        ),
        ("tests/sources",),
    ),
    "secrets": (
        ("reconciler/secrets/**/*.py", "reconciler/model/secret.py"),
        ("tests/secrets", "tests/model"),
    ),
    "planning": (
        ("reconciler/planning/*.py",),
        (
            "tests/planning",
            "tests/control/test_controller.py",
            "tests/control/test_decision_recorder.py",
            "tests/control/test_observation.py",
            "tests/control/test_rerouting.py",
        ),
    ),
}
"""What is changed, and the tests near it."""
_SLACK = 30.0
"""Seconds that a run may take beyond three times what its tests took before: a change may make it
wait for ever, which is noticed."""


class Tests:
    """The tests of some areas, by the functions that they enter."""

    def __init__(self, recorded: Mapping[str, tuple[float, Sequence[str]]]) -> None:
        self._seconds = {test: seconds for test, (seconds, _) in recorded.items()}
        self._entering: defaultdict[str, set[str]] = defaultdict(set)
        for test, (_, functions) in recorded.items():
            for function in functions:
                path = function.partition(":")[0]
                for name in (function, path, path.rpartition("/")[0]):
                    self._entering[name].add(test)

    def near(self, mutation: Mutation, limit: float) -> tuple[list[str], float]:
        """Return the tests that enter the changed function, quick ones first, and the seconds that
        they take: at most about `limit`. At the top of a module: those that enter any of its
        functions. Where none does (a module of tables, say): any function of its directory."""
        name = f"{mutation.path}:{mutation.function}" if mutation.function else mutation.path
        near = self._entering[name] or self._entering[mutation.path.rpartition("/")[0]]
        chosen: list[str] = []
        total = 0.0
        for test in sorted(near or self._seconds, key=self._seconds.__getitem__):
            if chosen and total + self._seconds[test] > limit:
                break
            chosen.append(test)
            total += self._seconds[test]
        return chosen, total


class Copy:
    """A copy of the checkout, in which the changes are made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            text=True,
            capture_output=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).exists():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name, follow_symlinks=False)

    def pytest(self, *arguments: str, seconds: float | None = None, **more: str) -> int | None:
        """Run pytest there and return its exit code; None where it did not end in time."""
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=self.path,
            env={
                **os.environ,
                "PYTHONPATH": str(self.path),
                "PYTHONDONTWRITEBYTECODE": "1",
                **more,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        try:
            said, _ = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        else:
            if running.returncode == 1 and " failed" not in said and " error" not in said:
                raise SystemExit("pytest does not run: was .venv made anew meanwhile?")
            return running.returncode
        finally:
            if running.poll() is None:
                os.killpg(running.pid, 9)
                running.wait()


def record(area: str, copy: Copy) -> None:
    """Run the tests near an area once and keep which functions each of them enters. A test that
    fails unchanged would count for every change, so it is left out."""
    print(f"recording the tests near {area} …", flush=True)
    with tempfile.TemporaryDirectory() as written:
        copy.pytest(
            "-p",
            "tests.mutants.recording",
            *AREAS[area][1],
            RECORD_TO=written,
            RECORD_ROOT=str(copy.path),
        )
        found: dict[str, object] = {}
        for path in Path(written).iterdir():
            found |= json.loads(path.read_text())
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{area}.json").write_text(json.dumps(found))


def is_noticed(mutation: Mutation, tests: Tests, copy: Copy, limit: float) -> tuple[bool, int]:
    """Whether a test fails with this change, and how many tests there are to do so."""
    chosen, seconds = tests.near(mutation, limit)
    if not chosen:
        return False, 0
    changed = copy.path / mutation.path
    source = changed.read_bytes()
    listed = copy.path / "mutants.args"
    listed.write_text("\n".join(chosen))
    changed.write_bytes(mutation.applied(source))
    try:
        code = copy.pytest("-x", f"@{listed}", seconds=3 * seconds + _SLACK)
    finally:
        changed.write_bytes(source)
    return code != 0, len(chosen)


def main() -> int:
    options = _options()
    areas = options.area or list(AREAS)
    candidates = [
        mutation
        for area in areas
        for pattern in AREAS[area][0]
        for path in sorted(ROOT.glob(pattern))
        for mutation in mutations(ROOT, str(path.relative_to(ROOT)))
        if not options.module or mutation.path in options.module
    ]
    chosen = (
        candidates
        if options.all
        else random.Random(options.seed).sample(candidates, min(options.number, len(candidates)))
    )
    print(f"{len(chosen)} of {len(candidates)} changes, seed {options.seed}", flush=True)
    survivors = 0
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(Path(directory))
        recorded: dict[str, tuple[float, Sequence[str]]] = {}
        for area in areas:
            if options.record or not (KEPT / f"{area}.json").exists():
                record(area, copy)
            recorded |= json.loads((KEPT / f"{area}.json").read_text())
        tests = Tests(recorded)
        for number, mutation in enumerate(chosen, 1):
            began = time.monotonic()
            noticed, count = is_noticed(mutation, tests, copy, options.seconds)
            survivors += not noticed
            print(
                f"{number:4} {'noticed ' if noticed else 'SURVIVED'} "
                f"{mutation.path}:{mutation.line} "
                f"{mutation.what} ({count} tests, {time.monotonic() - began:.0f} s)",
                flush=True,
            )
            if not noticed:
                print(mutation.diff((copy.path / mutation.path).read_bytes()), flush=True)
    noticed_by_all = len(chosen) - survivors
    print(
        f"score {100 * noticed_by_all / max(1, len(chosen)):.0f} %: "
        f"{noticed_by_all} of {len(chosen)} noticed"
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--area", action="append", choices=[*AREAS])
    parser.add_argument("--module", action="append", help="a path, as reconciler/ledger/lease.py")
    parser.add_argument("--all", action="store_true", help="every change")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests for each change")
    parser.add_argument("--record", action="store_true", help="which test enters what, anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
