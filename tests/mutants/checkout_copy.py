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
        with subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forking", *tests],
            cwd=self.path,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield TestRunner(self.path, process)

    def _environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPATH": str(self.path), **more}


class TestRunner:
    """Asks a `forking` process for runs."""

    __test__ = False

    def __init__(self, root: Path, process: subprocess.Popen[str]) -> None:
        self._root = root
        self._process = process
        self._answer()

    def run(self, mutation: Mutation, tests: Sequence[str], seconds: float) -> str | None:
        """Return which test fails with this change, "" where none does, None where they did not end
        in time."""
        changed = self._root / mutation.path
        before = changed.stat()
        source = changed.read_bytes()
        changed.write_bytes(mutation.applied(source))
        try:
            return self._ask({"tests": tests, "seconds": seconds})
        finally:
            changed.write_bytes(source)
            os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # its compiled form fits

    def _ask(self, question: Mapping[str, object]) -> str | None:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = json.loads(self._answer())
        assert answer is None or isinstance(answer, str)
        return answer

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("pytest does not run: was .venv made anew meanwhile?")
        return line
