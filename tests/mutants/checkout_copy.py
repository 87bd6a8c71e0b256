"""A copy of the checkout, in which the changes are made, and the process that runs its tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.mutations import Mutation

ROOT = Path(__file__).parents[2]


@contextmanager
def made(mutation: Mutation, checkout: Path) -> Iterator[None]:
    """Make a change in a copy of the checkout, and take it back at the end."""
    changed = checkout / mutation.path
    before = changed.stat()
    source = changed.read_bytes()
    changed.write_bytes(mutation.applied(source))
    try:
        yield
    finally:
        changed.write_bytes(source)
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # its compiled form fits


class CheckoutCopy:
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
        if (ROOT / ".servers").exists():
            (path / ".servers").symlink_to(ROOT / ".servers")

    def record(self, tests: Sequence[str], known: Iterable[str]) -> dict[str, object]:
        """Run these tests once, and return which functions each of them enters; None for those
        `known`, which are not run. A test that fails unchanged would count for every change, so it
        is left out."""
        listed = self.path / "mutants.args"
        listed.write_text("\n".join([*(f"--deselect={test}" for test in known), *tests]))
        found: dict[str, object] = {}
        with tempfile.TemporaryDirectory() as written:
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    "-n2",
                    "-p",
                    "tests.mutants.recording",
                    f"@{listed}",
                ],
                cwd=self.path,
                env=self._environment(RECORD_TO=written, RECORD_ROOT=str(self.path)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            for path in Path(written).iterdir():
                found |= json.loads(path.read_text())
        return found

    @contextmanager
    def runner(self, tests: Sequence[str]) -> Iterator[TestRunner]:
        with self._forking("--in-place", *tests) as in_place, self._forking(*tests) as anew:
            yield TestRunner(self.path, in_place, anew)

    def _forking(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forking", *arguments],
            cwd=self.path,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPATH": str(self.path), **more}


class TestRunner:
    """Asks two `forking` processes for runs: one that changes functions in place, and one that
    imports the changed program. The other one is asked where a change cannot be made in place, and
    with the quickest third of the tests where no test failed."""

    __test__ = False

    def __init__(
        self, root: Path, in_place: subprocess.Popen[str], anew: subprocess.Popen[str]
    ) -> None:
        self._root = root
        self._in_place, self._anew = in_place, anew
        _answer(in_place)
        _answer(anew)

    def run(self, mutation: Mutation, tests: Sequence[str], seconds: float) -> str | None:
        """Return which test fails with this change, "" where none does, None where they did not end
        in time."""
        source = (self._root / mutation.path).read_bytes()
        question = {
            "path": mutation.path,
            "sources": [source.decode(), mutation.applied(source).decode()],
            "seconds": seconds,
        }
        with made(mutation, self._root):
            failed = _ask(self._in_place, {**question, "tests": tests})
            if failed is False:
                failed = _ask(self._anew, {**question, "tests": tests})
            elif failed == "":
                some = tests[: len(tests) // 3 + 1]
                failed = _ask(self._anew, {**question, "tests": some})
        assert failed is None or isinstance(failed, str)
        return failed


def _ask(process: subprocess.Popen[str], question: Mapping[str, object]) -> object:
    assert process.stdin is not None
    print(json.dumps(question), file=process.stdin, flush=True)
    return json.loads(_answer(process))


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("pytest does not run: was .venv made anew meanwhile?")
    return line
